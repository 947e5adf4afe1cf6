"""Makes the set ``voice_deepfake_further`` from its list: ``python -m training.data.further_voices``.

The list names for every clip the public repository, commit and file it was cut from, where it was cut, and what is
known of it. The clips are made again from clones of these repositories, which are fetched where they are not there.
Chance hangs on the line of the list alone, so the same list gives the same clips.
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
from training.data.repositories import Repositories
from training.data.voice_treatment import SAMPLE_RATE, background, treated

LIST = listed.MANIFESTS / "further_voices.csv.gz"
COLUMNS = ("file", "label", "language", "speaker_or_group", "system", "source", "licence", "codec", "split")
OPUS_LEVEL = 0.864  # libsndfile: (1 - level) * 250 + 6 = 40 kbit/s


def _make(row: Row, lines: Sequence[Row], repositories: Repositories, out: Path) -> Row:
    """Makes one clip; gives its line of the manifest."""
    rng = np.random.default_rng(zlib.crc32(row["file"].encode()))
    other = _other(row, lines, rng)
    behind = background(repositories.audio(*listed.place(other)))
    recording = repositories.audio(*listed.place(row))
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
        "source": listed.source(row),
        "codec": f"{original}>{codec}",
        "split": "train",
    }


def _other(row: Row, lines: Sequence[Row], rng: np.random.Generator) -> Row:
    """A recording whose background is to be behind a clip: of another group, of the clip's language if there is one.

    The list marks these recordings, so that a clip stays the same when the list grows.
    """
    marked = [other for other in lines if other["background"] and other["group"] != row["group"]]
    same = [other for other in marked if other["language"] == row["language"]]
    others = same or marked
    return others[int(rng.integers(len(others)))] if others else row


SET = ListedSet("voice_deepfake_further", LIST, COLUMNS, _make)

if __name__ == "__main__":
    sys.exit(SET.main(__doc__))
