"""The runner of ``models/heart_sound``."""

from __future__ import annotations

import bentoml

from models.heart_sound import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class HeartSound(ModelRunner):
    """Answers with the heart_sound model."""

    spec = SPEC
    stored = stored_model(SPEC)
