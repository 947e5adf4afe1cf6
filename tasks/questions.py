"""All questions of the bundle, by name: what each needs, and how it is concluded."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.errors import NotFound
from core.settings import Settings
from dsp.temporal import active
from media.audio import DecodedAudio, Samples
from models import registry
from models.heart_sound.silence import heart
from models.spec import AudioInput, ModelSpec
from tasks import audio_scene, face_gender, heart_sound, voice_deepfake, voice_gender
from tasks.base import Answer, Ask, Conclusion, DetectedFace, Steps
from tasks.names import AI_VOICE, ENSEMBLE, FURTHER, MODELS_BY_QUESTION
from tasks.problems import of_picture, of_speech

Kind = Literal["audio", "image"]


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        name: In addresses and on the command line.
        text: The question in words.
        models: That answer it.
        kind: Of its input: a recording, or a picture with a face.
        classify: The task, for a decoded recording or a found face.
        label: What metrics call the work that is done for it before any model is asked.
        cuts: Whether a recording that is longer than the limit is cut, and not refused.
        piece_s: Length above which a recording is asked about piece after piece (seconds); None where it is asked about
            as a whole.
        kept: Which samples of a recording are left after the task has cut pauses, bool [n]; None where it cuts none.
        problems: What makes an input hard to judge, beside what the models find.
    """

    name: str
    text: str
    models: tuple[str, ...]
    kind: Kind
    classify: Callable[[Any, Settings], Steps[Conclusion]]
    label: str
    cuts: bool = False
    piece_s: float | None = None
    kept: Callable[[Samples, int], NDArray[np.bool_]] | None = None
    problems: Callable[[Any], list[str]] = lambda source: []

    def problems_of(self, answer: Answer) -> list[str]:
        """Why an input is hard to judge, by the models and by itself. Takes milliseconds for a long recording."""
        source = answer.face if answer.audio is None else answer.audio
        return [*answer.found.problems, *([] if source is None else self.problems(source))]


@functools.cache
def questions() -> dict[str, Question]:
    """The five questions, and one for each further model of the registry."""
    further = [_further(name, registry.specs()[model]) for name, (model,) in FURTHER.items()]
    return {question.name: question for question in (*_BUNDLED, *further)}


def question_named(name: str) -> Question:
    """The question of a name that a caller gives.

    Raises:
        NotFound: There is none of this name.
    """
    if (found := questions().get(name)) is None:
        raise NotFound(f"the questions are {', '.join(questions())}")
    return found


def _single(name: str, text: str, kind: Kind, classify: Callable[[Any], Steps[Conclusion]], **further: Any) -> Question:
    """The question of one model; ``further`` are fields of ``Question``."""
    further = {"problems": of_picture} | further if kind == "image" else further
    (model,) = MODELS_BY_QUESTION[name]
    return Question(name, text, (model,), kind, lambda source, _: classify(source), model, **further)


def _further(name: str, spec: ModelSpec) -> Question:
    """The question of a model that no task is written for: all windows, weighed by their lengths."""

    def classify(source: DecodedAudio | DetectedFace) -> Steps[Conclusion]:
        item = source.samples if isinstance(source, DecodedAudio) else source.crop
        (found,) = yield [Ask(spec.name, item)]
        return Conclusion.of(found.join())

    kind: Kind = "audio" if isinstance(spec.input, AudioInput) else "image"
    return _single(name, spec.question or spec.description, kind, classify)


_BUNDLED = (
    _single(
        "voice-gender",
        "Is this voice male or female?",
        "audio",
        voice_gender.classify,
        kept=active,
        problems=of_speech,
    ),
    _single("face-gender", "Is this face male or female?", "image", face_gender.classify),
    _single("heart-sound", "What does this heart sound show?", "audio", heart_sound.classify, kept=heart),
    _single("audio-scene", "Speech, music, noise or silence?", "audio", audio_scene.classify),
    Question(
        AI_VOICE,
        "Did a human or an AI speak this?",
        MODELS_BY_QUESTION[AI_VOICE],
        "audio",
        lambda audio, settings: voice_deepfake.classify(audio, settings.voting),
        ENSEMBLE,
        cuts=True,
        piece_s=voice_deepfake.MAX_S,
        kept=active,
        problems=of_speech,
    ),
)
