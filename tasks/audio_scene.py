"""Is this audio speech, music, noise or silence? (``docs/contract.md``, Audio scene)"""

from __future__ import annotations

from functools import partial

from media.audio import DecodedAudio
from models.audio_scene import SPEC
from models.spec import average_without
from tasks.base import Ask, Conclusion, Steps
from tasks.names import MODELS_BY_QUESTION

(MODEL,) = MODELS_BY_QUESTION["audio-scene"]
# Where at least this share of a recording is something else, its silent windows do not count: a few words are speech
# however long the pauses, but one doubtful window does not make a scene of an hour of silence.
MIN_SOUND_SHARE = 0.05
join = partial(average_without, ignored=SPEC.classes.index("silence"), least=MIN_SOUND_SHARE)


def classify(audio: DecodedAudio) -> Steps[Conclusion]:
    """Concludes from all windows of a recording.

    Args:
        audio: A recording of any length, at the model's rate.

    Raises:
        ServiceError: As ``Answered.check``.
    """
    (found,) = yield [Ask(MODEL, audio.samples)]
    return Conclusion.of(found.join(join=join))
