"""The runner of ``models/deepfake_encoder``."""

from __future__ import annotations

import bentoml

from models.deepfake_encoder import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class DeepfakeEncoder(ModelRunner):
    """Answers with the deepfake_encoder model."""

    spec = SPEC
    stored = stored_model(SPEC)
