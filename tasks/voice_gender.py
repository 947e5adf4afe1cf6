"""Is this voice male or female? (docs/contract.md, Voice gender)"""

from __future__ import annotations

import logging

from dsp.activity import without_pauses
from tasks.answer import AudioPrediction
from tasks.context import Context
from tasks.speech import weights

log = logging.getLogger("bundle.voice_gender")

MODEL = "voice_gender"


async def classify(context: Context, audio: bytes) -> AudioPrediction:
    """Answers for a recording in any container, at any rate, with any number of channels.

    Args:
        context: The bundle.
        audio: The file's bytes.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``; Unprocessable where there is no speech.
    """
    context.ensure_room(MODEL)
    decoded = await context.decode(MODEL, audio, context.audio_input(MODEL).sample_rate)
    log.info("voice gender", extra={"mime_type": decoded.mime_type, "duration_s": round(decoded.duration_s, 3)})
    # Where speech begins matters to the encoder a little: long pauses are cut, and windows without speech do not count.
    spoken = without_pauses(decoded.samples, context.audio_input(MODEL).sample_rate)
    return AudioPrediction(await context.classify_audio(MODEL, spoken, weigh=weights), decoded)
