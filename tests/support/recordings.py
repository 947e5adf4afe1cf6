"""A public repository of made-up recordings, for the sets that are made from lists."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

Audio = NDArray[np.float32]


def git(folder: Path, *arguments: str) -> str:
    """What a git command prints, run in a folder."""
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def publish(folder: Path, recordings: Mapping[str, Audio], rate: int) -> str:
    """Makes a repository of stereo recordings that any commit can be fetched from.

    Args:
        folder: Of the repository.
        recordings: By the name of the file, float32 [samples].
        rate: Hz.

    Returns:
        Its commit.
    """
    folder.mkdir(parents=True)
    for name, recording in recordings.items():
        soundfile.write(folder / name, np.stack([recording] * 2, axis=1), rate)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "recordings")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return git(folder, "rev-parse", "HEAD")


def manifest(folder: Path) -> list[dict[str, str]]:
    """The lines of a set's manifest."""
    return list(csv.DictReader((folder / "manifest.csv").read_text().splitlines()))
