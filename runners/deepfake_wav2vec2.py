"""The runner of ``models/deepfake_wav2vec2``."""

from __future__ import annotations

import bentoml

from models.deepfake_wav2vec2 import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class DeepfakeWav2Vec2(ModelRunner):
    """Answers with the deepfake_wav2vec2 model."""

    spec = SPEC
    stored = stored_model(SPEC)
