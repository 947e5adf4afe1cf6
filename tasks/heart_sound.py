"""What does this heart sound show? (docs/contract.md, Heart sound)"""

from __future__ import annotations

import logging

from core import metrics
from core.errors import BadRequest, UnsupportedMedia
from media.audio import AudioLimits
from media.containers import UNKNOWN
from media.pcm import PcmFormat, pcm_to_wav
from media.signatures import is_text, not_sound, recognise
from tasks.answer import AudioPrediction, Prediction
from tasks.context import Context
from tasks.results import HeartResult

log = logging.getLogger("bundle.heart_sound")

MODEL = "heart_sound"
PROBLEM = "too_"  # how the model's flags begin; beside them stand the values that they were decided from
SHORTEST_S = 0.5  # less than one heartbeat: refused
TAKEN = "send raw PCM, or a recording as wav, flac, ogg, mp3, webm, m4a or aac"


async def classify_upload(
    context: Context, data: bytes, declared: str, layout: PcmFormat, amplification: float
) -> AudioPrediction:
    """Answers for a body that may be a file or raw PCM, and stores the answer as the latest.

    Args:
        context: The bundle.
        data: The body.
        declared: The container that the content type names, or ``unknown``.
        layout: How to read raw PCM.
        amplification: Its gain.

    Raises:
        ServiceError: As ``classify`` and ``classify_pcm``; UnsupportedMedia for text, pictures and the like.
    """
    if declared != UNKNOWN or recognise(data) != UNKNOWN:
        return await classify(context, data, declared)
    if kind := not_sound(data):
        raise UnsupportedMedia(f"the body is {kind}: {TAKEN}")
    if layout.sample_width > 1 and is_text(data):
        raise UnsupportedMedia(f"the body is text: {TAKEN}")
    return await classify_pcm(context, data, layout, amplification)


async def classify_pcm(context: Context, pcm: bytes, layout: PcmFormat, amplification: float) -> AudioPrediction:
    """Answers for raw PCM, and stores the answer as the latest.

    Args:
        context: The bundle.
        pcm: Whole frames.
        layout: How to read them.
        amplification: Gain, limited by the headroom of the loudest sample.

    Raises:
        ServiceError: As ``pcm_to_wav`` and ``classify``; what is too short or too long before either of them.
    """
    context.ensure_room(MODEL)
    frames = layout.frames(pcm)
    check_long_enough(frames / layout.sample_rate)
    limits = AudioLimits(max_seconds=context.settings.max_audio_seconds)
    limits.check_length(frames / layout.sample_rate, frames * layout.num_channels, layout.sample_rate)
    shape = (layout.sample_rate, layout.num_channels, layout.sample_width)
    wav = await context.in_thread(MODEL, "pcm", lambda: pcm_to_wav(pcm, *shape, amplification), len(pcm))
    return await classify(context, wav)


async def classify(context: Context, audio: bytes, declared: str | None = None) -> AudioPrediction:
    """Answers for a recording, and stores the answer as the latest before returning it.

    Args:
        context: The bundle.
        audio: A file's bytes.
        declared: The container that the caller named.

    Raises:
        ServiceError: As ``judge``, and InsufficientStorage when the answer cannot be kept.
    """
    found = await judge(context, audio, declared)
    answer = found.answer
    for problem in problems(answer):
        metrics.QUALITY.labels(MODEL, problem).inc()
        log.warning("this heart sound is hard to judge", extra={"problem": problem})
    await context.latest.store(as_result(answer))
    return found


async def judge(context: Context, audio: bytes, declared: str | None = None) -> AudioPrediction:
    """Answers for a recording, and stores nothing.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``; BadRequest when it is too short.
    """
    context.ensure_room(MODEL)
    decoded = await context.decode(MODEL, audio, context.audio_input(MODEL).sample_rate, declared=declared)
    check_long_enough(decoded.duration_s)
    return AudioPrediction(await context.classify_audio(MODEL, decoded.samples), decoded)


def check_long_enough(seconds: float) -> None:
    """Refuses what is shorter than any heartbeat.

    Raises:
        BadRequest: It is.
    """
    if seconds < SHORTEST_S:
        raise BadRequest(f"the recording is shorter than {SHORTEST_S:g} seconds")


def problems(answer: Prediction) -> list[str]:
    """Why the recording is hard to judge, if it is; these flags stand beside the values that decided them."""
    return [name for name, found in answer.extras.items() if found and name.startswith(PROBLEM)]


def as_result(answer: Prediction) -> HeartResult:
    """The answer in the contract's form: class, and confidence in percent."""
    confidence = min(100.0, round(100 * answer.probabilities[answer.best], 1))
    return HeartResult.model_validate({"class": answer.best, "confidence": confidence})
