"""The figures of ``deploy/README.md``: measured by the tests of containers, written by ``make container-figures``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.served import ROOT

MEASURED = ROOT / "build" / "container-figures.json"
PAGE = ROOT / "deploy" / "README.md"
BEGIN, END = "<!-- figures: make container-figures -->\n", "<!-- end figures -->"


def note(figures: dict[str, str], file: Path = MEASURED) -> None:
    """Adds measured figures, by what they are, to those of earlier tests."""
    known = json.loads(file.read_text()) if file.exists() else {}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(known | figures, indent=1, ensure_ascii=False) + "\n")


def table(figures: dict[str, str]) -> str:
    """The figures as a table."""
    lines = [f"| {name} | {value} |" for name, value in figures.items()]
    return "\n".join(("| what | measured |", "| --- | --- |", *lines)) + "\n"


def main() -> None:
    """Puts the table into the page."""
    page = PAGE.read_text()
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(json.loads(MEASURED.read_text()))}\n{END}{after}")


if __name__ == "__main__":
    main()
