"""What does this heart sound show? (C3)"""

from __future__ import annotations

import logging

from core import metrics
from media.audio import AudioLimits
from media.pcm import PcmFormat, pcm_to_wav
from operations.answer import Answer, Heard
from operations.context import Context

log = logging.getLogger("bundle.heart_sound")

MODEL = "heart_sound"
PROBLEM = "too_"  # how the model's flags begin; beside them stand the values that they were decided from


async def classify_pcm(context: Context, pcm: bytes, layout: PcmFormat, amplification: float) -> Heard:
    """Answers for raw PCM, and stores the answer as the latest.

    Args:
        context: The bundle.
        pcm: Whole frames.
        layout: How to read them.
        amplification: Gain, limited by the headroom of the loudest sample.

    Raises:
        ServiceError: As ``pcm_to_wav`` and ``classify``; PayloadTooLarge before either of them.
    """
    context.ensure_room(MODEL)
    limits = AudioLimits(max_seconds=context.settings.max_audio_seconds)
    limits.check_length(len(pcm) / layout.frame_bytes, layout.sample_rate, layout.num_channels)
    shape = (layout.sample_rate, layout.num_channels, layout.sample_width)
    wav = await context.in_thread(MODEL, "pcm", lambda: pcm_to_wav(pcm, *shape, amplification))
    return await classify(context, wav)


async def classify(context: Context, audio: bytes) -> Heard:
    """Answers for a recording, and stores the answer as the latest before returning it.

    Args:
        context: The bundle.
        audio: A file's bytes.

    Raises:
        ServiceError: As ``judge``, and InternalError when the answer cannot be stored.
    """
    heard = await judge(context, audio)
    answer = heard.answer
    for problem in problems(answer):
        metrics.QUALITY.labels(MODEL, problem).inc()
        log.warning("this heart sound is hard to judge", extra={"problem": problem})
    await context.latest.store(as_result(answer))
    return heard


async def judge(context: Context, audio: bytes) -> Heard:
    """Answers for a recording, and stores nothing.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``.
    """
    context.ensure_room(MODEL)
    decoded = await context.decode(MODEL, audio, context.audio_input(MODEL).sample_rate)
    return Heard(await context.classify_audio(MODEL, decoded.samples), decoded)


def problems(answer: Answer) -> list[str]:
    """Why the recording is hard to judge, if it is; these flags stand beside the values that decided them."""
    return [name for name, found in answer.extras.items() if found and name.startswith(PROBLEM)]


def as_result(answer: Answer) -> dict[str, str | float]:
    """The answer in the form of C3: class, and confidence in percent."""
    return {"class": answer.best, "confidence": round(100 * answer.probabilities[answer.best], 1)}
