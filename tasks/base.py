"""The shape of a task: what it asks of models, what they answered, and what it concludes.

A task does no input or output. It is a generator: it yields what is to be asked, is sent what the models answered, and
returns its conclusion. So the same code runs behind the queues of the service (``tasks.asking``) and, one step after
the other, in evaluation and scripts (``follow``).

Tasks about speech share how much of it a recording holds, so that silence, music and noise have no vote in their
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from core.errors import BadRequest, InternalError, Unprocessable
from media.audio import DecodedAudio
from media.faces import Face
from models.messages import InferenceResult
from models.spec import AudioInput, ModelSpec, average, split

T = TypeVar("T")
Classification = Literal["AI_GENERATED", "HUMAN"]
Rows = NDArray[np.float64]
Join = Callable[[Rows, Rows], Rows]  # of rows [windows, classes] and their weights [windows]

# Calibrated: a class of a lower probability is wrong more than one time in four.
UNCERTAIN_BELOW = 0.75


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of one model.

    Attributes:
        model: Its name.
        item: A recording of any length, float32 [samples] at the model's rate, or a picture, uint8 [size, size, 3] RGB.
    """

    model: str
    item: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model says of one recording or picture.

    Attributes:
        model: Its name.
        tag: Store entry that answered.
        probabilities: By class name, in the model's order; each at most 1, and they sum to 1.
        rows: The same of each window, in order, float64 [windows, classes].
        extras: Values measured on the way, by name; means over the windows.
    """

    model: str
    tag: str
    probabilities: Mapping[str, float]
    rows: Rows = field(compare=False)
    extras: Mapping[str, float] = field(default_factory=dict)

    @property
    def windows(self) -> list[dict[str, float]]:
        """Probabilities of each window by class name, in order; made anew for each caller."""
        return [dict(zip(self.probabilities, row, strict=True)) for row in self.rows.tolist()]

    @property
    def best(self) -> str:
        """The most probable class."""
        return max(self.probabilities, key=lambda name: self.probabilities[name])


@dataclass(frozen=True, slots=True)
class Answered:
    """What one model answered to an ``Ask``.

    Attributes:
        spec: The model, as it is served.
        windows: The pieces that it saw, in order.
        results: One for each of them.
    """

    spec: ModelSpec
    windows: Sequence[NDArray[Any]]
    results: Sequence[InferenceResult]

    @property
    def lengths(self) -> list[float]:
        """Of the windows (seconds); 1 for a picture."""
        kind = self.spec.input
        return [window.shape[0] / kind.sample_rate if isinstance(kind, AudioInput) else 1.0 for window in self.windows]

    def check(self) -> None:
        """Checks that every window has an answer.

        Raises:
            BadRequest: The model cannot judge the input.
            InternalError: The model failed.
        """
        for result in self.results:
            if result.kind != "ok":
                message = result.error or "no answer"
                raise BadRequest(message) if result.kind == "invalid" else InternalError(message)

    def join(self, weights: Sequence[float] | None = None, join: Join = average) -> Prediction:
        """Joins the answers on the windows.

        Args:
            weights: Of the windows; their lengths where none are given.
            join: Makes one row of probabilities of theirs.

        Raises:
            ServiceError: As ``check``.
        """
        self.check()
        weights = self.lengths if weights is None else weights
        rows = np.array([result.probabilities for result in self.results])
        mean = np.minimum(join(rows, np.asarray(weights, np.float64)), 1.0)  # a sum may be rounded to more
        extras = [result.extras for result in self.results]
        return Prediction(
            self.spec.name,
            self.results[0].model,
            dict(zip(self.spec.classes, mean.tolist(), strict=True)),
            rows,
            _joined(extras, weights, self.spec.measures),
        )


@dataclass(frozen=True, slots=True)
class DetectedFace:
    """The face that a picture is judged by.

    Attributes:
        face: The largest one, in pixels of the decoded picture.
        size: Width and height of the decoded picture (pixels).
        crop: What the model sees of it, uint8 RGB [size, size, 3].
        others: The smaller faces, the largest first.
    """

    face: Face
    size: tuple[int, int]
    crop: NDArray[np.uint8]
    others: Sequence[Face] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the AI-voice ensemble says.

    Attributes:
        score: Weighted mean of the members' probabilities that the voice is AI-generated, 0 to 1.
        classification: ``AI_GENERATED`` where the score is above the threshold.
        confidence: Confidence in the answer given, 0.5 to 1: the score, mapped such that the threshold becomes 0.5 and
            both ends become 1, linearly on each side.
        uncertain: Whether the score is so near the threshold that such answers are wrong more than one time in four.
    """

    score: float
    classification: Classification
    confidence: float
    uncertain: bool


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a task concludes.

    Attributes:
        prediction: The class.
        confidence: Of that class, 0 to 1.
        probabilities: By class.
        members: What each model said, by name.
        problems: Why the input is hard to judge, in short names.
        uncertain: Whether such answers are wrong more than one time in four.
        verdict: Of the AI-voice ensemble.
        explanation: Why, in words; empty where a task gives none.
    """

    prediction: str
    confidence: float
    probabilities: Mapping[str, float]
    members: Mapping[str, Prediction]
    problems: Sequence[str] = ()
    uncertain: bool = False
    verdict: Verdict | None = None
    explanation: str = ""

    @classmethod
    def of(cls, prediction: Prediction, problems: Sequence[str] = ()) -> Conclusion:
        """The conclusion that one model's prediction is."""
        best = prediction.best
        confidence = prediction.probabilities[best]
        members = {prediction.model: prediction}
        return cls(
            best, confidence, prediction.probabilities, members, tuple(problems), uncertain=confidence < UNCERTAIN_BELOW
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """A conclusion, and what it was drawn from.

    Attributes:
        found: The conclusion.
        audio: The recording, mono at the rate of the models.
        face: The face of a picture.
    """

    found: Conclusion
    audio: DecodedAudio | None = None
    face: DetectedFace | None = None


Steps = Generator[Sequence[Ask], Sequence[Answered], T]
AnswerWindows = Callable[[str, Sequence[NDArray[Any]]], Sequence[InferenceResult]]


def windows(spec: ModelSpec, item: NDArray[Any]) -> list[NDArray[Any]]:
    """The pieces of a recording that a model sees at once; of a picture, itself.

    Args:
        spec: The model, as it is served.
        item: As of ``Ask``.
    """
    if not isinstance(spec.input, AudioInput):
        return [item]
    return split(item, round(spec.input.window_s * spec.input.sample_rate))


def follow(steps: Steps[T], specs: Mapping[str, ModelSpec], answer: AnswerWindows) -> T:
    """Runs a task step by step in this thread.

    Args:
        steps: The task.
        specs: The models, as they are served, by name.
        answer: Gives what the model of a name says of windows.

    Raises:
        ServiceError: As the task does.
    """
    try:
        asked = next(steps)
        while True:
            pieces = [windows(specs[one.model], one.item) for one in asked]
            found = [
                Answered(specs[one.model], parts, answer(one.model, parts))
                for one, parts in zip(asked, pieces, strict=True)
            ]
            asked = steps.send(found)
    except StopIteration as end:
        concluded: T = end.value
        return concluded


def _joined(
    extras: Sequence[Mapping[str, float]], weights: Sequence[float], amounts: Sequence[str]
) -> Mapping[str, float]:
    """What was measured in the windows of a recording: sums of amounts, and means, weighted like the answers.

    A flag, which is 0 or 1 in a window, becomes the part of the recording that it holds for.
    """
    if len(extras) == 1:
        return extras[0]
    return {
        name: float(sum(one[name] for one in extras))
        if name in amounts
        else float(np.average([one[name] for one in extras], weights=weights))
        for name in extras[0]
    }


SPEECH_S = "speech_s"  # what the models that find speech measure of each window
MIN_SPEECH_S = 0.5  # less speech than this is none
NO_SPEECH = "no speech was found in the recording"


def speech_seconds(found: Answered) -> list[float]:
    """Seconds of speech in each window; of a model that does not find speech, the windows' own lengths.

    Raises:
        ServiceError: As ``Answered.check``.
    """
    found.check()
    return [result.extras.get(SPEECH_S, length) for result, length in zip(found.results, found.lengths, strict=True)]


def speech_weights(found: Answered) -> list[float]:
    """How much each window counts in the answer for a voice: its seconds of speech.

    Raises:
        ServiceError: As ``Answered.check``; Unprocessable where there is too little speech in all windows.
    """
    spoken = speech_seconds(found)
    if sum(spoken) < MIN_SPEECH_S and any(SPEECH_S in result.extras for result in found.results):
        raise Unprocessable(NO_SPEECH)
    return spoken
