"""How answers are shown: a line of JSON for each file in their order, or a table at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.table import Column, Table


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


class Grid:
    """A table for people."""

    def __init__(self) -> None:
        self._table = Table(Column("file", overflow="fold"), "answer", "confidence", "notes")

    def add(self, report: Mapping[str, Any]) -> None:
        """Adds a row."""
        if "error" in report:
            self._table.add_row(report["file"], "-", "", report["error"])
            return
        notes = report.get("explanation") or ", ".join(report.get("problems", ()))
        self._table.add_row(report["file"], report["answer"], f"{report['confidence']:.1%}", notes)

    def close(self) -> None:
        """Shows the table."""
        Console(highlight=False, markup=False).print(self._table)
