"""Pitch and formants are moved apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.training.augment import Audio, power
from models.training.pitch import Pitch

RATE = 16_000
PITCH_HZ, FORMANTS_HZ = 120.0, (600.0, 1_800.0)


@pytest.fixture(scope="module")
def vowel() -> Audio:
    """A second of a pulse train in a throat of two resonances, float32 [samples]."""
    time = np.arange(RATE) / RATE
    response = np.zeros(1_024)
    for formant in FORMANTS_HZ:
        response += np.sin(2 * np.pi * formant * time[:1_024]) * np.exp(-2 * np.pi * 60.0 * time[:1_024])
    pulses = np.diff(np.floor(time * PITCH_HZ), prepend=0.0)
    wave = np.convolve(pulses, response)[:RATE]
    return np.asarray(0.5 * wave / np.abs(wave).max(), np.float32)


def pitch(audio: Audio) -> float:
    """Of a steady voice between 60 and 250 Hz, by its autocorrelation (Hz)."""
    middle = audio[RATE // 4 : RATE // 4 + 4_096].astype(np.float64)
    similarity = np.correlate(middle, middle, "full")[4_095:]
    shortest = RATE // 250
    return RATE / (shortest + int(similarity[shortest : RATE // 60].argmax()))


def loudest(audio: Audio, low: float, high: float) -> float:
    """Where the smoothed spectrum is highest within a band (Hz)."""
    spectrum: NDArray[np.float64] = np.abs(np.fft.rfft(audio[: RATE // 2])) ** 2  # 2 Hz a bin
    smooth = np.convolve(spectrum, np.hanning(150), "same")
    bins = slice(int(low / 2), int(high / 2))
    return low + 2 * float(smooth[bins].argmax())


@pytest.mark.parametrize("seed", range(6))
def test_the_pitch_moves_and_the_formants_stay(vowel: Audio, seed: int) -> None:
    factor = float(np.exp(np.random.default_rng(seed).uniform(-0.3, 0.3)))
    changed = Pitch(0.3, 0.0)(vowel, np.random.default_rng(seed))
    assert pitch(changed) == pytest.approx(factor * PITCH_HZ, rel=0.03)
    assert changed.size == pytest.approx(RATE / factor, rel=0.01)
    for formant in FORMANTS_HZ:  # as near as the harmonics tell
        assert loudest(changed, 0.6 * formant, 1.5 * formant) == pytest.approx(formant, abs=PITCH_HZ)


def test_the_formants_move_and_the_pitch_stays(vowel: Audio) -> None:
    changed = [Pitch(0.0, 0.2)(vowel, np.random.default_rng(seed)) for seed in range(6)]
    assert [pitch(audio) for audio in changed] == pytest.approx([PITCH_HZ] * 6, rel=0.02)
    places = [loudest(audio, 1_100.0, 2_700.0) for audio in changed]
    assert max(places) / min(places) > 1.15


def test_the_level_stays_and_nothing_passes_full_scale(vowel: Audio) -> None:
    changed = Pitch()(vowel, np.random.default_rng(1))
    assert power(changed) == pytest.approx(power(vowel), rel=0.1)
    assert np.abs(changed).max() <= 1.0
    assert changed.dtype == np.float32


def test_silence_stays_silent() -> None:
    assert not Pitch()(np.zeros(4_000, np.float32), np.random.default_rng(0)).any()
