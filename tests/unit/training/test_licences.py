"""Terms as manifests put them: which of them let weights be used commercially."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.data.datasets import Clip
from training.data.licences import is_clear

CLEAR = (
    "CC0 1.0",
    "CC BY 4.0",
    "CC-BY-SA 3.0",
    "MIT (repo); LJSpeech: public domain",
    "Artistic-1.0",
    "made here with samtts",
)
OTHERS = (
    "CC BY-NC-SA 4.0",
    "none stated in repo (demo page); VCTK: CC BY 4.0",
    "MIT (repo) but audio from public videos: unclear",
    "MIT (repo); NOIZEUS: free for research",
    "Apache-2.0 (repo); ESD: research use",
    "Common Voice part: CC0 1.0; emotional part: UNCLEAR (upstream not named)",
    "free licence of the game (GPL or CC), this track not stated",
    "CC0?/OpenGameArt, per README",
    "",
)


@pytest.mark.parametrize("licence", [*CLEAR, *OTHERS])
def test_a_licence_is_clear_if_it_is_named_and_allows_commercial_use(licence: str) -> None:
    clip = Clip(Path("a.flac"), "HUMAN", "speaker", {"licence": licence})
    assert is_clear(clip) == (licence in CLEAR)
