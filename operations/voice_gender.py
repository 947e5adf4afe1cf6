"""Is this voice male or female? (C1)"""

from __future__ import annotations

import logging

from operations.answer import Heard
from operations.context import Context

log = logging.getLogger("bundle.voice_gender")

MODEL = "voice_gender"


async def classify(context: Context, audio: bytes) -> Heard:
    """Answers for a recording in any container, at any rate, with any number of channels.

    Args:
        context: The bundle.
        audio: The file's bytes.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``.
    """
    context.ensure_room(MODEL)
    decoded = await context.decode(MODEL, audio, context.audio_input(MODEL).sample_rate)
    log.info("voice gender", extra={"mime_type": decoded.mime_type, "duration_s": round(decoded.duration_s, 3)})
    return Heard(await context.classify_audio(MODEL, decoded.samples), decoded)
