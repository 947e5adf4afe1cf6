"""Which terms let weights that learned from a clip be used commercially."""

from __future__ import annotations

import re

from training.data.datasets import Clip

NAMED = re.compile(r"CC0|CC[- ]BY|public domain|Pixabay|MIT|BSD|Apache|zlib|Artistic|GPL|usage unrestricted|made here")
UNCLEAR = re.compile(
    r"non-?commercial|\bNC\b|research|none stated|not stated|not recorded|not named|unclear|output of a|\?",
    re.IGNORECASE,
)


def is_clear(clip: Clip) -> bool:
    """Whether a clip's licence is named in the manifest and allows commercial use."""
    licence = clip.fields["licence"]
    return bool(NAMED.search(licence)) and not UNCLEAR.search(licence)
