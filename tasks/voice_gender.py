"""Is this voice male or female? (``docs/contract.md``, Voice gender)"""

from __future__ import annotations

from dsp.temporal import without_pauses
from media.audio import DecodedAudio
from tasks.base import Ask, Conclusion, Steps, speech_weights
from tasks.names import MODELS_BY_QUESTION

(MODEL,) = MODELS_BY_QUESTION["voice-gender"]


def classify(audio: DecodedAudio) -> Steps[Conclusion]:
    """Concludes from the windows that hold speech, each weighed by its seconds of it.

    Where speech begins matters to the encoder a little, so long pauses are cut first.

    Args:
        audio: A recording of any length, at the model's rate.

    Raises:
        ServiceError: As ``Answered.check``; Unprocessable where there is no speech.
    """
    (found,) = yield [Ask(MODEL, without_pauses(audio.samples, audio.samples_rate))]
    return Conclusion.of(found.join(speech_weights(found)))
