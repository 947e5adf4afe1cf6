"""The runner of ``models/face_gender``."""

from __future__ import annotations

import bentoml

from models.face_gender import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class FaceGender(ModelRunner):
    """Answers with the face_gender model."""

    spec = SPEC
    stored = stored_model(SPEC)
