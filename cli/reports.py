"""How a file is asked about on the command line, and how its answer is reported.

Answers are a line of JSON or of CSV for each file in their order, or a table at the end.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console
from rich.table import Column, Table

from media import containers, pcm
from tasks import heart_sound
from tasks.base import Answer
from tasks.questions import Question
from tasks.run import Context
from tasks.voice_deepfake import ARTIFICIAL

Report = dict[str, Any]

SOUNDS = frozenset(suffix for one in containers.offered() for suffix in one.suffixes)
PICTURES = frozenset(suffix for one in containers.PICTURES for suffix in one.suffixes)
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
    if question.kind == "image":
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
        members = {name: member.probabilities[ARTIFICIAL] for name, member in found.members.items()}
        said |= {"members": _rounded(members), "explanation": found.explanation}
    else:
        said["probabilities"] = _rounded(dict(found.probabilities))
    if answer.face is not None:
        said["face"] = [round(value) for value in answer.face.face.box]
    said["problems"] = question.problems_of(answer)
    if question.name == "audio-scene" and (audio := answer.audio) is not None:
        source = {"sample_rate": audio.sample_rate, "channels": audio.channels}
        said |= {"duration": round(audio.duration_s, 2), **source}
    return said


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, DIGITS) for name, value in values.items()}


FIRST = ("file", "answer", "confidence", "error")  # columns of every CSV


class Output(Protocol):
    """Takes the report of each file, in order."""

    def add(self, report: Mapping[str, Any]) -> None:
        """Takes one report: ``file``, and what was found or ``error``."""

    def close(self) -> None:
        """Shows what has not been shown."""


class JsonLines:
    """One JSON object a line."""

    def add(self, report: Mapping[str, Any]) -> None:
        """Writes the report."""
        sys.stdout.write(json.dumps(report, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        """Everything has been written."""


class Csv:
    """A line of CSV for each file, below a line of names; what an answer has by name is a column for each name.

    The columns are those of the first answer, so reports of files that fail wait for it.
    """

    def __init__(self) -> None:
        self._writer: csv.DictWriter[str] | None = None
        self._waiting: list[dict[str, Any]] = []

    def add(self, report: Mapping[str, Any]) -> None:
        """Writes the report, once the columns are known."""
        row = dict(_flat(report))
        if self._writer is None and "error" in row:
            self._waiting.append(row)
            return
        self._start(row)
        self._write(row)

    def close(self) -> None:
        """Writes what waits: no file has an answer."""
        self._start({})

    def _start(self, row: Mapping[str, Any]) -> None:
        if self._writer is None:
            columns = [*FIRST, *(name for name in row if name not in FIRST)]
            self._writer = csv.DictWriter(sys.stdout, columns, extrasaction="ignore", lineterminator="\n")
            self._writer.writeheader()
            for waiting in self._waiting:
                self._write(waiting)

    def _write(self, row: dict[str, Any]) -> None:
        assert self._writer is not None  # noqa: S101 - ``_start`` has made it
        self._writer.writerow(row)
        sys.stdout.flush()


def _flat(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Name and value of each column of a report; lists are joined by spaces."""
    found: list[tuple[str, Any]] = []
    for name, value in report.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{inner}", of_it) for inner, of_it in value.items()]
        else:
            found.append((name, " ".join(map(str, value)) if isinstance(value, list) else value))
    return found


class Grid:
    """A table for people; it fits the width of the terminal, or 80 columns."""

    def __init__(self) -> None:
        self._table = Table(
            Column("file", overflow="fold"), Column("answer", no_wrap=True), Column("confidence", no_wrap=True), "notes"
        )

    def add(self, report: Mapping[str, Any]) -> None:
        """Adds a row."""
        if "error" in report:
            self._table.add_row(report["file"], "-", "", report["error"])
            return
        # Of an explanation the sentence that says what was decided; the other formats have it whole.
        notes = report.get("explanation", "").split(". ")[0] or ", ".join(report.get("problems", ()))
        self._table.add_row(report["file"], report["answer"], f"{report['confidence']:.1%}", notes)

    def close(self) -> None:
        """Shows the table."""
        Console(highlight=False, markup=False).print(self._table)


FORMATS: dict[str, Callable[[], Output]] = {"json": JsonLines, "csv": Csv, "table": Grid}
