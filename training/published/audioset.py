"""What each of the 527 labels of AudioSet counts for, in ``audioset.csv``, in the order of AudioSet's own list.

The rules that the table was made and reviewed by:

- speech: voices that say something, shouted, whispered and synthetic ones included;
- music: singing, instruments, genres and moods, effects of instruments, and whistled tunes;
- silence: the one label of that name (the energy gate decides before the network is asked);
- noise: everything else. That is voices without words (laughter, crying, coughs), crowds and babble with no words that
  can be followed, animals, and bells and chimes that no musician plays (church, bicycle, wind).

Labels of places and carriers ("Inside, small room", "Television") count as noise too: they come beside what is heard,
seldom above it. Names: Gemmeke et al., "Audio Set", ICASSP 2017 (the list is CC BY 4.0, Google).
"""

from __future__ import annotations

import csv
from pathlib import Path


def _read() -> tuple[tuple[str, str], ...]:
    with (Path(__file__).parent / "audioset.csv").open(newline="") as file:
        return tuple((row["label"], row["class"]) for row in csv.DictReader(file))


TABLE = _read()
