"""Calibration: from logits to probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import Calibration


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=5), st.floats(0.1, 50))
def test_probabilities_sum_to_one_whatever_the_logits(logits: list[float], temperature: float) -> None:
    calibration = Calibration(temperature, (0.0,) * len(logits))
    row = calibration.probabilities(np.array([logits], np.float32))[0]
    assert row.sum() == pytest.approx(1, abs=1e-5)
    assert row.min() >= 0


def test_temperature_and_bias() -> None:
    probabilities = Calibration(2.0, (0.0, 1.0)).probabilities(np.array([[2.0, 0.0]], np.float32))
    assert probabilities[0].tolist() == pytest.approx([0.5, 0.5])


def test_identity_is_softmax() -> None:
    row = Calibration.identity(2).probabilities(np.array([[0.0, np.log(3)]], np.float32))[0]
    assert row.tolist() == pytest.approx([0.25, 0.75])


def test_saved_and_loaded(tmp_path: Path) -> None:
    calibration = Calibration(1.5, (0.1, -0.1))
    calibration.save(tmp_path)
    assert Calibration.load(tmp_path) == calibration


@pytest.mark.parametrize("text", ['{"temperature": 0, "bias": [0]}', '{"temperature": 1, "bias": [NaN]}'])
def test_what_cannot_be_right_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(ValueError, match="temperature"):
        Calibration.load(tmp_path)
