"""The runner of ``models/voice_gender``."""

from __future__ import annotations

import bentoml

from models.voice_gender import SPEC
from runners.base import ModelRunner, service_options, stored_model


@bentoml.service(**service_options(SPEC))
class VoiceGender(ModelRunner):
    """Answers with the voice_gender model."""

    spec = SPEC
    stored = stored_model(SPEC)
