"""From what a task concludes to the answer of the uniform route, with the place of each window in the recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api.v1.schemas import AudioSource, FoundFaceBox, ImageSource, ItemAnswer, MemberVote, Segment
from core.settings import Settings
from media.audio import DecodedAudio
from media.faces import Face
from models.spec import AudioInput, ModelSpec, split
from tasks import voice_deepfake
from tasks.base import Answer, DetectedFace, Prediction
from tasks.questions import Question


def bounds(kept: NDArray[np.bool_], window: int, piece: int) -> list[tuple[int, int]]:
    """The first and last sample of each window.

    Args:
        kept: Which samples were looked at, bool [n].
        window: Longest window (samples).
        piece: Longest piece of what was kept that is split at once (samples).

    Returns:
        Start and end (exclusive) of each, in samples of the recording.
    """
    places = np.flatnonzero(kept).astype(np.int32)
    found = []
    for start in range(0, places.size, piece):
        parts: Sequence[NDArray[np.int32]] = split(places[start : start + piece], window)  # type: ignore[arg-type, assignment]
        found += [(int(part[0]), int(part[-1]) + 1) for part in parts]
    return found


def report(
    question: Question, answer: Answer, first: ModelSpec, settings: Settings, index: int, name: str
) -> ItemAnswer:
    """The answer to one item; takes some milliseconds for a long recording, and so belongs into a thread.

    Args:
        question: What was asked.
        answer: What was concluded.
        first: The first model of the question, as it is served.
        settings: Weights and threshold of the ensemble.
        index: Place of the item in the request.
        name: What the item is called.
    """
    found = answer.found
    members = list(found.members.values())
    parts: dict[str, Any] = {}
    if answer.audio is not None:
        parts = _sound(question, answer.audio, members[0], first)
    elif answer.face is not None:
        parts = _picture(answer.face)
    if found.verdict is not None:
        parts |= _ensemble(members, settings)
    return ItemAnswer(
        index=index,
        name=name,
        prediction=found.prediction,
        confidence=found.confidence,
        probabilities=dict(found.probabilities),
        uncertain=found.uncertain,
        problems=question.problems_of(answer),
        models=[member.tag for member in members],
        explanation=found.explanation,
        **{"segments": []} | parts,
    )


def _sound(question: Question, audio: DecodedAudio, prediction: Prediction, spec: ModelSpec) -> dict[str, Any]:
    source = AudioSource(
        duration=round(audio.duration_s, 3),
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        container=audio.container,
    )
    return {"audio": source, "segments": [_segment(*one) for one in windows(question, audio, prediction, spec)]}


def _segment(start: float, end: float, row: Mapping[str, float]) -> Segment:
    """One window with its probabilities, from ``start`` to ``end`` (seconds)."""
    best = max(row, key=lambda name: row[name])
    return Segment(
        start=round(start, 3), end=round(end, 3), prediction=best, confidence=row[best], probabilities=dict(row)
    )


def windows(
    question: Question, audio: DecodedAudio, prediction: Prediction, spec: ModelSpec
) -> list[tuple[float, float, Mapping[str, float]]]:
    """Start and end of each window of a recording that has several (seconds), and its probabilities.

    Args:
        question: What was asked.
        audio: The recording.
        prediction: What the first model of the question said.
        spec: That model, as it is served.
    """
    rows = prediction.windows
    if len(rows) < 2:
        return []
    found = spans(question, audio, spec)[: len(rows)]  # there may be more windows than were asked about
    return [(start, end, row) for (start, end), row in zip(found, rows, strict=True)]


def spans(question: Question, audio: DecodedAudio, spec: ModelSpec) -> list[tuple[float, float]]:
    """Start and end of each window of a recording (seconds).

    Args:
        question: What was asked.
        audio: The recording.
        spec: The first model of the question, as it is served.
    """
    if not isinstance(spec.input, AudioInput):
        return []
    rate = audio.samples_rate
    kept = question.kept(audio.samples, rate) if question.kept else np.full(audio.samples.size, True)
    piece = round(question.piece_s * rate) if question.piece_s else audio.samples.size
    return [(start / rate, end / rate) for start, end in bounds(kept, round(spec.input.window_s * rate), piece)]


def _picture(found: DetectedFace) -> dict[str, Any]:
    faces = [_box(face, judged=face is found.face) for face in (found.face, *found.others)]
    return {"image": ImageSource(width=found.size[0], height=found.size[1]), "faces": faces}


def _box(face: Face, *, judged: bool) -> FoundFaceBox:
    left, top, width, height = (round(value, 1) for value in face.box)
    score = min(max(face.score, 0.0), 1.0)
    return FoundFaceBox(left=left, top=top, width=width, height=height, score=score, judged=judged)


def _ensemble(members: list[Prediction], settings: Settings) -> dict[str, Any]:
    voting = settings.voting
    votes = [
        MemberVote(model=one.model, score=one.probabilities[voice_deepfake.ARTIFICIAL], weight=weight)
        for one, weight in zip(members, voting.weights, strict=True)
    ]
    return {"votes": votes, "threshold": voting.threshold, "features": dict(members[-1].extras)}
