"""The runner of ``models/deepfake_mlp``."""

from __future__ import annotations

import bentoml

from models.deepfake_mlp import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class DeepfakeMlp(ModelRunner):
    """Answers with the deepfake_mlp model."""

    spec = SPEC
    stored = stored_model(SPEC)
