"""Sets of clips that are made again from lists of recordings in public repositories and packages."""

from __future__ import annotations

import argparse
import csv
import gzip
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from training.data.repositories import DEBIAN, Repositories

MANIFESTS = Path(__file__).parent / "manifests"

Row = Mapping[str, str]
# Makes the clip of a line, of a list, from the repositories, in the folder of the set; gives its line of the manifest.
Make = Callable[[Row, Sequence[Row], Repositories, Path], Row]


def rows(path: Path) -> list[Row]:
    """The lines of a list."""
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def place(row: Row) -> tuple[str, str, str]:
    """Where the recording of a line is, as ``Repositories`` takes it."""
    return row["repository"], row["commit"], row["path"]


def source(row: Row) -> str:
    """Where the recording of a line is, as manifests say it."""
    if row["repository"].startswith(DEBIAN):
        return f"{row['repository']}_{row['commit']}:{row['path']}"
    return f"github:{row['repository']}@{row['commit'][:12]}:{row['path']}"


@dataclass(frozen=True, slots=True)
class ListedSet:
    """A set that is made again from its list.

    Attributes:
        name: Of the set.
        lines: File of the list.
        columns: Of the manifest.
        make: Makes one clip.
    """

    name: str
    lines: Path
    columns: Sequence[str]
    make: Make

    def build(self, lines: Sequence[Row], repositories: Repositories, out: Path) -> None:
        """Writes the clips of a list, and their manifest; clips that an earlier run has made stay.

        Args:
            lines: Of the list.
            repositories: Where the recordings are.
            out: Folder of the set.

        Raises:
            subprocess.CalledProcessError: A repository, commit, package or file cannot be had.
        """
        out.mkdir(parents=True, exist_ok=True)
        made = _made_before(out)
        with (out / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            for row in tqdm(lines, desc=out.name, unit="clip", mininterval=2):
                writer.writerow(made.get(row["file"]) or self.make(row, lines, repositories, out))

    def main(self, about: str | None, arguments: Sequence[str] | None = None) -> int:
        """Makes the set, as a command.

        Args:
            about: Of the command.
            arguments: Those of the process where none are given.
        """
        parser = argparse.ArgumentParser(description=about)
        parser.add_argument("--out", type=Path, default=Path("data/sets") / self.name, help="folder to write")
        parser.add_argument("--clones", type=Path, default=Path("data/clones"), help="clones named owner+name")
        options = parser.parse_args(arguments)
        try:
            self.build(rows(self.lines), Repositories(options.clones), options.out)
        except subprocess.CalledProcessError as error:
            print(f"{error}\n{error.stderr.decode(errors='replace')}", file=sys.stderr)
            return 1
        return 0


def _made_before(out: Path) -> dict[str, Row]:
    """Lines of the manifest of an earlier run, by file: this run goes on from there."""
    manifest = out / "manifest.csv"
    if not manifest.exists():
        return {}
    with manifest.open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if row["split"] == "train"]  # a killed run leaves half a line
    return {row["file"]: row for row in whole if (out / row["file"]).exists()}
