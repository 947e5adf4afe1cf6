"""The runner of ``models/deepfake_cnn``."""

from __future__ import annotations

import bentoml

from models.deepfake_cnn import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class DeepfakeCnn(ModelRunner):
    """Answers with the deepfake_cnn model."""

    spec = SPEC
    stored = stored_model(SPEC)
