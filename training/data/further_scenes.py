"""Makes the set ``audio_scenes_further`` from its list: ``python -m training.data.further_scenes``.

The list names for every clip the public repository and commit, or the Debian package and version, and the file it was
cut from, where it was cut, and its label. The clips are made again from clones and packages, which are fetched where
they are not there. Chance hangs on the line of the list alone, so the same list gives the same clips.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from training.data import listed
from training.data.listed import ListedSet, Row
from training.data.repositories import SAMPLE_RATE, Audio, Repositories

LIST = listed.MANIFESTS / "further_scenes.csv.gz"
COLUMNS = ("file", "label", "group_id", "source", "licence", "split", "origin")
LEVEL_DBFS = (-38.0, -17.0)  # root mean square, as in the other scene sets: loudness tells no class but silence
FADE = 80  # samples (5 ms), so that a cut is no click
PEAK = 0.99
SMALLEST = 1e-9  # of a level, so that nothing is divided by zero


def _make(row: Row, lines: Sequence[Row], repositories: Repositories, out: Path) -> Row:
    """Makes one clip; gives its line of the manifest."""
    start, end = (round(float(row[name]) * SAMPLE_RATE) for name in ("start_s", "end_s"))
    clip = repositories.audio(*listed.place(row))[start:end].copy()
    if row["label"] != "silence":  # which keeps its own level
        clip = levelled(clip, np.random.default_rng(zlib.crc32(row["file"].encode())))
    target = out / row["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(target, clip, SAMPLE_RATE, subtype="PCM_16")
    known = {name: row[name] for name in ("file", "label", "licence")}
    return {
        **known,
        "group_id": row["group"],
        "source": row["repository"],
        "split": "train",
        "origin": listed.source(row),
    }


def levelled(clip: Audio, rng: np.random.Generator) -> Audio:
    """A clip with faded ends, at a level of ``LEVEL_DBFS``; peaks keep it below that where they would be cut off."""
    ramp = np.linspace(0.0, 1.0, min(FADE, clip.size), dtype=np.float32)
    clip[: ramp.size] *= ramp
    clip[clip.size - ramp.size :] *= ramp[::-1]
    wanted = 10.0 ** (rng.uniform(*LEVEL_DBFS) / 20.0)
    level, peak = float(np.sqrt(np.mean(np.square(clip)))), float(np.abs(clip).max())
    gain = min(wanted / max(level, SMALLEST), PEAK / max(peak, SMALLEST))
    return np.asarray(clip * gain, np.float32)


SET = ListedSet("audio_scenes_further", LIST, COLUMNS, _make)

if __name__ == "__main__":
    sys.exit(SET.main(__doc__))
