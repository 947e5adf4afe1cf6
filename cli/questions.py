"""How a file is asked about on the command line, and how its answer is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from media import pcm
from tasks import heart_sound
from tasks.base import Answer
from tasks.questions import Question
from tasks.run import Context

Report = dict[str, Any]

SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".webm", ".m4a", ".aac"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
PCM = frozenset({".pcm", ".raw"})
DIGITS = 4


@dataclass(frozen=True, slots=True)
class File:
    """One file that is asked about.

    Attributes:
        data: Its bytes.
        raw: Whether it is raw PCM.
        layout: How raw PCM is to be read.
        amplification: Gain for raw PCM, limited by its headroom.
    """

    data: bytes
    raw: bool
    layout: pcm.PcmFormat
    amplification: float


def suffixes(question: Question) -> frozenset[str]:
    """The endings of the files of a folder that a question is asked about."""
    if question.kind == "face":
        return PICTURES
    return SOUNDS | PCM if heart_sound.MODEL in question.models else SOUNDS


async def ask(context: Context, question: Question, file: File) -> Report:
    """Answers for one file.

    Raises:
        ServiceError: With words on what is wrong with it.
    """
    is_pcm = heart_sound.MODEL in question.models and file.raw
    read = heart_sound.pcm_reader(file.layout, file.amplification) if is_pcm else None
    return report(question, await context.answer(question, file.data, read=read))


def report(question: Question, answer: Answer) -> Report:
    """What is said of a file: class and confidence, and what the question has beside them."""
    found = answer.found
    said: Report = {"answer": found.prediction, "confidence": round(found.confidence, DIGITS)}
    if found.verdict is not None:
        members = {name: member.probabilities["AI_GENERATED"] for name, member in found.members.items()}
        said |= {"members": _rounded(members), "explanation": found.explanation}
    else:
        said["probabilities"] = _rounded(dict(found.probabilities))
    if answer.face is not None:
        said["face"] = [round(value) for value in answer.face.face.box]
    if heart_sound.MODEL in question.models:
        said["problems"] = list(found.problems)
    if question.name == "audio-scene" and (audio := answer.audio) is not None:
        source = {"sample_rate": audio.sample_rate, "channels": audio.channels}
        said |= {"duration": round(audio.duration_s, 2), **source}
    return said


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in values.items()}
