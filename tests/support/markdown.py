"""Blocks of code in the documents, for tests that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands after the fence.
        text: Its lines.
    """

    language: str
    text: str


def blocks(path: Path, *languages: str) -> list[Block]:
    """The blocks of a document, of these languages where any is named."""
    found = [Block(language, text) for language, text in FENCE.findall(path.read_text())]
    return [block for block in found if not languages or block.language in languages]


def shown_by(path: Path) -> set[str]:
    """The tests that a document names as ``tests/file.py::test_name``."""
    return set(re.findall(r"`(tests/[\w/]+\.py::test_\w+)`", path.read_text()))
