"""The runner of ``models/audio_scene``."""

from __future__ import annotations

import bentoml

from models.audio_scene import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class AudioScene(ModelRunner):
    """Answers with the audio_scene model."""

    spec = SPEC
    stored = stored_model(SPEC)
