"""Makes the set ``voice_deepfake_further`` from its list: ``python -m training.data.further_voices``.

The list names for every clip the public repository, commit and file it was cut from, where it was cut, and what is
known of it. The clips are made again from clones of these repositories, which are fetched where they are not there.
Chance hangs on the line of the list alone, so the same list gives the same clips.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import subprocess
import sys
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
import soundfile
from tqdm import tqdm

from training.data.voice_treatment import SAMPLE_RATE, Audio, background, treated

LIST = Path(__file__).parent / "manifests" / "further_voices.csv.gz"
ADDRESS = "https://github.com/{}"
COLUMNS = ("file", "label", "language", "speaker_or_group", "system", "source", "licence", "codec", "split")
RECORDINGS = 512  # kept in memory, as most are read again for their background
LONGEST_S = 60.0  # so much of a recording is read
OPUS_LEVEL = 0.864  # libsndfile: (1 - level) * 250 + 6 = 40 kbit/s

Row = Mapping[str, str]


class Repositories:
    """Files of public repositories at given commits, from clones in a folder.

    Args:
        folder: Holds a clone (with or without a work tree) as ``owner+name``; those that lack are fetched into it.
        address: Of a repository, with a place for ``owner/name``.
    """

    def __init__(self, folder: Path, address: str = ADDRESS) -> None:
        self._folder = folder
        self._address = address
        self._there: set[tuple[str, str]] = set()
        self.audio = lru_cache(RECORDINGS)(self._audio)

    def _audio(self, repository: str, commit: str, path: str) -> Audio:
        """The sound of a file; ``audio`` keeps those read last.

        Returns:
            float32 [samples] at ``SAMPLE_RATE``; channels are mixed, at most ``LONGEST_S`` are read.

        Raises:
            subprocess.CalledProcessError: Git has no such repository, commit or file.
        """
        clone = self._folder / repository.replace("/", "+")
        if (repository, commit) not in self._there:
            self._bring(clone, repository, commit)
            self._there.add((repository, commit))
        return decoded(self._git(clone, "cat-file", "blob", f"{commit}:{path}"))

    def _bring(self, clone: Path, repository: str, commit: str) -> None:
        if not clone.exists():
            clone.mkdir(parents=True)
            self._git(clone, "init", "-q", "--bare")
        try:
            self._git(clone, "cat-file", "-e", f"{commit}^{{commit}}")
        except subprocess.CalledProcessError:
            self._git(clone, "fetch", "-q", "--depth", "1", self._address.format(repository), commit)

    def _git(self, clone: Path, *arguments: str) -> bytes:
        command = ["git", "-C", str(clone), *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout  # noqa: S603 - no shell


def decoded(data: bytes) -> Audio:
    """The sound of a media file: float32 [samples] at ``SAMPLE_RATE``, mono."""
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    pieces: list[Audio] = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(audio=0):
            pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            if frame.time is not None and frame.time > LONGEST_S:
                break
    pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32, copy=False)


def rows(path: Path = LIST) -> list[Row]:
    """The lines of the list."""
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


def build(listed: Sequence[Row], repositories: Repositories, out: Path) -> None:
    """Writes the clips of a list, and their manifest; clips that an earlier run has made stay.

    Args:
        listed: Lines with the columns of the list.
        repositories: Where the recordings are.
        out: Folder of the set.

    Raises:
        subprocess.CalledProcessError: A repository, commit or file cannot be had.
    """
    out.mkdir(parents=True, exist_ok=True)
    made = _made_before(out)
    with (out / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in tqdm(listed, desc=out.name, unit="clip", mininterval=2):
            writer.writerow(made.get(row["file"]) or _make(row, listed, repositories, out))


def _made_before(out: Path) -> dict[str, Row]:
    """Lines of the manifest of an earlier run, by file: this run goes on from there."""
    manifest = out / "manifest.csv"
    if not manifest.exists():
        return {}
    with manifest.open(newline="") as file:
        whole = [row for row in csv.DictReader(file) if row["split"] == "train"]  # a killed run leaves half a line
    return {row["file"]: row for row in whole if (out / row["file"]).exists()}


def _make(row: Row, listed: Sequence[Row], repositories: Repositories, out: Path) -> Row:
    """Makes one clip; gives its line of the manifest."""
    rng = np.random.default_rng(zlib.crc32(row["file"].encode()))
    other = _other(row, listed, rng)
    behind = background(repositories.audio(*_place(other)))
    recording = repositories.audio(*_place(row))
    start, end = (round(float(row[name]) * SAMPLE_RATE) for name in ("start_s", "end_s"))
    clip, codec = treated(recording[start:end], behind, rng)
    target = out / row["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        target, np.clip(clip, -1.0, 1.0), SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=OPUS_LEVEL
    )
    original = Path(row["path"]).suffix.lstrip(".").lower().replace("wav", "pcm")
    known = {name: row[name] for name in ("file", "label", "language", "system", "licence")}
    return {
        **known,
        "speaker_or_group": row["group"],
        "source": f"github:{row['repository']}@{row['commit'][:12]}:{row['path']}",
        "codec": f"{original}>{codec}",
        "split": "train",
    }


def _other(row: Row, listed: Sequence[Row], rng: np.random.Generator) -> Row:
    """A recording whose background is to be behind a clip: of another group, of the clip's language if there is one.

    The list marks these recordings, so that a clip stays the same when the list grows.
    """
    marked = [other for other in listed if other["background"] and other["group"] != row["group"]]
    same = [other for other in marked if other["language"] == row["language"]]
    others = same or marked
    return others[int(rng.integers(len(others)))] if others else row


def _place(row: Row) -> tuple[str, str, str]:
    return row["repository"], row["commit"], row["path"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes the set."""
    parser = argparse.ArgumentParser(prog="python -m training.data.further_voices", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/sets/voice_deepfake_further"), help="folder to write")
    parser.add_argument("--clones", type=Path, default=Path("data/clones"), help="clones named owner+name")
    options = parser.parse_args(arguments)
    try:
        build(rows(), Repositories(options.clones), options.out)
    except subprocess.CalledProcessError as error:
        print(f"{error}\n{error.stderr.decode(errors='replace')}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
