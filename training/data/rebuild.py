"""Rebuilds the data sets from their public origins, as far as that can be done: ``python -m training.data.rebuild``.

Without a name it says where everything comes from, under which terms, and what can be had. With names of data sets it
downloads their files into ``OUT/NAME/origin``, goes on where it was stopped, prepares the clips whose preparation is
known, checks them against the hashes of the manifest, and writes a manifest of these. The rest stays as downloaded: it
was cut, levelled or mixed by chance that was not written down, so a new set of the same kind can be made from it, but
not the same one.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import httpx
import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from training.data.download import Downloader, MissingFileError
from training.data.origins import ORIGINS, Origin, Row, manifest, origin_of

SETS = tuple(dict.fromkeys(origin.data for origin in ORIGINS))
FACE_SIDE = 128  # pixels
JPEG_QUALITY = 90
HEART_RATE = 4_000  # Hz
HEART_LONGEST_S = 30
HASH = "pcm_sha256_16"  # column: begin of the SHA-256 of the 16-bit samples


def say() -> str:
    """What every set comes from, in words."""
    lines = []
    for name in SETS:
        rows = manifest(name)
        count = Counter(origin_of(name, row) for row in rows)
        lines.append(f"\n{name}: {len(rows)} files")
        for origin, size in count.items():
            place = origin.repository and f"github.com/{origin.repository} @ {origin.commit[:12]}"
            made = {"none": "downloaded only", "face": "made here", "heart": "made here"}[origin.preparation]
            how = made if origin.path else f"by hand, then {made}" if origin.preparation != "none" else "by hand"
            where = place or (origin.path or "see the manifest").split("{")[0] or "github.com, by row of the manifest"
            lines.append(
                f"  {size:5} {where}\n        {origin.licence}; {how}" + (f"; {origin.note}" if origin.note else "")
            )
    return "\n".join(lines).lstrip("\n")


def rebuild(name: str, out: Path, downloader: Downloader) -> Counter[str]:
    """Rebuilds one set.

    Args:
        name: The set.
        out: Folder of all data sets.
        downloader: Fetches files.

    Returns:
        How many files were made the same as before (``same``), made but are other samples (``close``), are there as
        ``downloaded``, are ``missing`` at their origin, or have to be found ``by hand``.

    Raises:
        httpx.HTTPError: There is no way to the origin.
    """
    made: list[Row] = []
    outcome: Counter[str] = Counter()
    for row in tqdm(manifest(name), desc=name, unit="file", mininterval=2):
        state = _one(origin_of(name, row), row, out / name, downloader)
        outcome[state] += 1
        made += [row] if state in ("same", "close") else []
    if made:
        with (out / name / "manifest.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(made[0]))
            writer.writeheader()
            writer.writerows(made)
    return outcome


def _one(origin: Origin, row: Row, folder: Path, downloader: Downloader) -> str:
    """Fetches and prepares one file; gives its state."""
    address = origin.address(row)
    source = folder / "origin" / (address.split("://")[1] if address else Path(row["file"]).with_suffix(".wav"))
    if address:
        try:
            downloader.fetch(address, source)
        except MissingFileError:
            return "missing"
    if not source.exists():
        return "by hand"
    if origin.preparation == "none":
        return "downloaded"
    target = folder / row["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    return _face(source, target) if origin.preparation == "face" else _heart(source, target, row[HASH])


def _face(source: Path, target: Path) -> str:
    """The whole picture, scaled down."""
    picture = cv2.imread(str(source), cv2.IMREAD_COLOR)
    small = cv2.resize(picture, (FACE_SIDE, FACE_SIDE), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(target), small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "close"


def _heart(source: Path, target: Path, expected: str) -> str:
    """The beginning of a recording, resampled; the level stays."""
    samples, rate = soundfile.read(source, dtype="float64")
    if rate != HEART_RATE:
        samples = soxr.resample(samples, rate, HEART_RATE)
    cut = samples[: HEART_LONGEST_S * HEART_RATE]
    values = np.clip(np.round(cut * 32768), -32768, 32767).astype("<i2")
    soundfile.write(target, values, HEART_RATE, subtype="PCM_16")
    return "same" if hashlib.sha256(values.tobytes()).hexdigest()[:16] == expected else "close"


def main(arguments: Sequence[str] | None = None) -> int:
    """Says or rebuilds.

    Returns:
        The exit status: 1 where an origin could not be reached.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.data.rebuild", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SETS)}; none: say what there is")
    parser.add_argument("--out", type=Path, default=Path("data/sets"), help="folder to write; later DATASETS_DIR")
    parser.add_argument("--mirror", help="address of a server with the same paths, in place of https://host")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(SETS):
        parser.error(f"no data set is called {', '.join(sorted(unknown))}")
    if not options.names:
        print(say())
        return 0
    with Downloader(options.mirror) as downloader:
        for name in options.names:
            try:
                outcome = rebuild(name, options.out, downloader)
            except httpx.HTTPError as error:
                print(f"{name}: no way to its origin ({error}); run this again to go on", file=sys.stderr)
                return 1
            print(f"{name}: " + ", ".join(f"{count} {state}" for state, count in outcome.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
