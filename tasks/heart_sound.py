"""What does this heart sound show? (``docs/contract.md``, Heart sound)"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.errors import BadRequest, UnsupportedMedia
from media import pcm
from media.audio import AudioLimits, DecodedAudio
from media.containers import NAMES, UNKNOWN, either
from media.pcm import PcmFormat
from media.signatures import is_text, not_sound, recognise
from models.heart_sound import SPEC
from models.heart_sound.silence import without_silence
from models.messages import HeartResult
from models.spec import average_without
from tasks.base import Ask, Conclusion, Prediction, Steps
from tasks.names import MODELS_BY_QUESTION

(MODEL,) = MODELS_BY_QUESTION["heart-sound"]
PROBLEM = "too_"  # how the model's flags begin; beside them stand the values that they were decided from
ARTIFACT = "Artifact"  # the class of what is no heart sound
NO_BEAT = "no_heart_beat"  # the problem of a recording of that class
MIN_HEART_SHARE = 0.2  # of a recording of several windows: in less of it a heart may be a mistake
# Noise or speech in some windows does not outvote a heart.
join = partial(average_without, ignored=SPEC.classes.index(ARTIFACT), least=MIN_HEART_SHARE)
MIN_S = 0.5  # less than one heartbeat: refused
TAKEN = f"send raw PCM, or a recording as {either(NAMES)}"


def classify(audio: DecodedAudio) -> Steps[Conclusion]:
    """Concludes from all windows of what is not silence.

    Args:
        audio: A recording of any length, at the model's rate.

    Raises:
        ServiceError: As ``Answered.check``; BadRequest when it is too short.
    """
    check_length(audio.duration_s)
    (found,) = yield [Ask(MODEL, without_silence(audio.samples, audio.samples_rate))]
    prediction = found.join(join=join)
    return Conclusion.of(prediction, problems(prediction))


def pcm_reader(layout: PcmFormat, amplification: float) -> Callable[[bytes, AudioLimits, int], DecodedAudio]:
    """What decodes raw PCM, as ``tasks.decoding`` takes it.

    Args:
        layout: How to read it.
        amplification: Its gain, limited by the headroom of the loudest sample.
    """
    return lambda data, limits, rate: pcm.decode(data, layout, amplification, limits, rate)


def check_pcm(data: bytes, layout: PcmFormat, limits: AudioLimits) -> None:
    """Refuses a body without a known container, before it is decoded, unless it can be raw PCM of a possible length.

    Raises:
        BadRequest: PCM that is too short, or not whole frames.
        PayloadTooLarge: PCM that is too long.
        UnsupportedMedia: Text, a picture, and the like.
    """
    if kind := not_sound(data):
        raise UnsupportedMedia(f"the body is {kind}: {TAKEN}")
    if layout.sample_width > 1 and is_text(data):
        raise UnsupportedMedia(f"the body is text: {TAKEN}")
    frames = layout.frames(data)
    check_length(frames / layout.sample_rate)
    limits.check_length(frames / layout.sample_rate, frames * layout.num_channels, layout.sample_rate)


def is_file(data: bytes, declared: str) -> bool:
    """Whether a body is a file of a known container, by its content type or its first bytes."""
    return declared != UNKNOWN or recognise(data) != UNKNOWN


def check_length(seconds: float) -> None:
    """Refuses what is shorter than any heartbeat.

    Raises:
        BadRequest: It is.
    """
    if seconds < MIN_S:
        raise BadRequest(f"the recording is shorter than {MIN_S:g} seconds")


def problems(prediction: Prediction) -> list[str]:
    """Why the recording is hard to judge, if it is: the flags that the processor raised, and ``NO_BEAT``."""
    flags = [name for name, found in prediction.extras.items() if found and name.startswith(PROBLEM)]
    return [*flags, NO_BEAT] if prediction.best == ARTIFACT else flags


def as_result(found: Conclusion) -> HeartResult:
    """The answer in the form of the contract: class, and confidence in percent."""
    return HeartResult.model_validate({"class": found.prediction, "confidence": round(100 * found.confidence, 1)})
