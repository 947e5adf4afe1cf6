"""Made-up cries, chirps and crackle: noises that a network takes for speech or music when it has heard few of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.training.augment import coloured_noise

Wave = NDArray[np.float64]

SAMPLE_RATE = 16_000  # Hz
SAMPLES = round(5.2 * SAMPLE_RATE)
RESONANCES_HZ = ((700.0, 1_400.0), (1_500.0, 3_500.0))  # of a small throat, where two formants may lie


def swells(rng: np.random.Generator, size: int, least: float) -> Wave:
    """A slowly changing level between ``least`` and 1, float64 [size]."""
    knots = rng.uniform(least, 1.0, int(rng.integers(3, 12)))
    return np.asarray(np.interp(np.linspace(0, 1, size), np.linspace(0, 1, len(knots)), knots))


def cries(rng: np.random.Generator) -> Wave:
    """A baby or an animal: one call after the other, a pitch that rises and falls, a throat that sounds along."""
    out, now = _room(rng), rng.uniform(0, 0.5)
    pitch, formants = rng.uniform(250, 700), [rng.uniform(*limits) for limits in RESONANCES_HZ]
    while now < SAMPLES / SAMPLE_RATE:
        size = int(rng.uniform(0.15, 1.4) * SAMPLE_RATE)
        _place(out, _call(rng, pitch * rng.uniform(0.85, 1.2), formants, size), now)
        now += size / SAMPLE_RATE + rng.uniform(0.05, 0.9)
    return out


def _call(rng: np.random.Generator, pitch: float, formants: list[float], size: int) -> Wave:
    """Harmonics of a gliding pitch, louder near the formants, hoarse at times; float64 [size]."""
    place = np.linspace(0, 1, size)
    glide = 1 + rng.uniform(0.0, 0.35) * np.sin(np.pi * place ** rng.uniform(0.5, 2)) + rng.uniform(-0.2, 0.2) * place
    roughness = rng.choice([0.0, 0.02, 0.08]) * coloured_noise(size, 2.0, rng)
    phase = 2 * np.pi * np.cumsum(pitch * glide * (1 + roughness)) / SAMPLE_RATE
    wave = np.zeros(size)
    for order in range(1, max(2, int(min(16.0, SAMPLE_RATE / 2.2 / (1.6 * pitch))))):
        near = [1 / (1 + ((order * pitch - formant) / 300.0) ** 2) for formant in formants]
        wave += (0.05 + max(near)) * rng.uniform(0.5, 1) * np.sin(order * phase)
    breath = rng.uniform(0.0, 0.3) * coloured_noise(size, rng.uniform(0, 1), rng)
    return np.asarray((wave + breath) * np.sin(np.pi * place) ** rng.uniform(0.3, 1))


def chirps(rng: np.random.Generator) -> Wave:
    """Birds and insects: short whistles that sweep, in series."""
    out = _room(rng)
    low, series = rng.uniform(1_500, 5_000), int(rng.integers(2, 9))
    for _ in range(series):
        start, gap = rng.uniform(0, SAMPLES / SAMPLE_RATE), rng.uniform(0.05, 0.3)
        size = int(rng.uniform(0.02, 0.2) * SAMPLE_RATE)
        place = np.linspace(0, 1, size)
        sweep = low * (1 + rng.uniform(-0.4, 0.4) * place + rng.uniform(0, 0.1) * np.sin(2 * np.pi * 20 * place))
        whistle = np.sin(2 * np.pi * np.cumsum(sweep) / SAMPLE_RATE) * np.sin(np.pi * place)
        for number in range(int(rng.integers(1, 12))):
            _place(out, rng.uniform(0.3, 1) * whistle, start + number * gap)
    return out


def crackle(rng: np.random.Generator) -> Wave:
    """Fire, rain or gravel: a great many short clicks of all sizes over a soft rush."""
    out = rng.uniform(0.0, 0.2) * coloured_noise(SAMPLES, rng.uniform(0.5, 2), rng).astype(np.float64)
    for _ in range(int(rng.integers(30, 1_200))):
        size = int(rng.uniform(0.0005, 0.012) * SAMPLE_RATE) + 8
        click = rng.standard_normal(size) * np.exp(-np.linspace(0, rng.uniform(3, 8), size))
        _place(out, rng.pareto(2.0) * click, rng.uniform(0, SAMPLES / SAMPLE_RATE))
    return out


def _room(rng: np.random.Generator) -> Wave:
    return rng.uniform(0.001, 0.05) * coloured_noise(SAMPLES, rng.uniform(0.5, 2), rng).astype(np.float64)


def _place(out: Wave, wave: Wave, seconds: float) -> None:
    start = int(seconds * SAMPLE_RATE)
    if start < len(out):
        piece = wave[: len(out) - start]
        out[start : start + len(piece)] += piece
