"""Music and noise made from scratch: more variety than a few hundred recordings hold.

Simple tunes (scale, chords, bass, drums; additive, plucked and frequency-modulated tones), single instruments, and
simple noises (coloured, gusting, knocking, humming; and those of ``creatures``). Training only, beside the real
recordings and never instead of them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.audio_scene import creatures
from models.training.augment import coloured_noise

Audio = NDArray[np.float32]
Wave = NDArray[np.float64]

SAMPLE_RATE = 16_000  # Hz
SECONDS = 5.2
SAMPLES = int(SECONDS * SAMPLE_RATE)
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))
SOLO = 0.25  # share of the music that is one instrument
PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (1, 4, 0, 0), (0, 0, 3, 4))  # degrees of the scale


def music(rng: np.random.Generator) -> Audio:
    """A few bars of a made-up tune, or one instrument, float32 [SAMPLES], peak 0.9."""
    if rng.random() < SOLO:
        return _peak(_solo(rng))
    beat = 60.0 / rng.uniform(65, 170)  # seconds
    out = np.zeros(SAMPLES)
    layers = [layer for layer in (_melody, _chords, _bass, _drums) if rng.random() < 0.6] or [_melody]
    scale = SCALES[rng.integers(len(SCALES))]
    root = int(rng.integers(40, 65))  # MIDI note
    progression = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    for layer in layers:
        part = layer(rng, beat, root, scale, progression)
        out += rng.uniform(0.4, 1.0) * part / (np.sqrt(np.mean(part**2)) + 1e-9)
    return _peak(out)


def noise(rng: np.random.Generator) -> Audio:
    """A made-up noise, float32 [SAMPLES], peak 0.9."""
    makers = (_gusts, _knocks, _hum, creatures.cries, creatures.chirps, creatures.crackle)
    out = makers[rng.integers(len(makers))](rng)
    if rng.random() < 0.4:
        other = makers[rng.integers(len(makers))](rng)
        out = out / np.std(out) + rng.uniform(0.1, 0.7) * other / np.std(other)
    return _peak(out)


def _peak(wave: Wave) -> Audio:
    return np.asarray(0.9 * wave / (np.abs(wave).max() + 1e-9), np.float32)


def _hertz(note: float) -> float:
    return float(440.0 * 2 ** ((note - 69) / 12))


def _tone(rng: np.random.Generator, timbre: NDArray[np.float64], note: float, seconds: float) -> Wave:
    """One note; ``timbre`` holds 6 numbers in [0, 1] that an instrument keeps from note to note."""
    time = np.arange(max(64, int(seconds * SAMPLE_RATE))) / SAMPLE_RATE
    frequency = _hertz(note) * (1 + 0.003 * rng.standard_normal() * timbre[5])
    phase = 2 * np.pi * frequency * time + 3 * timbre[4] * np.sin(2 * np.pi * 5.5 * time) * (timbre[3] > 0.7)
    if timbre[0] < 0.35:
        modulator = np.sin(phase * (1 + int(4 * timbre[1]))) * 5 * timbre[2] * np.exp(-3 * time)
        wave = np.sin(phase + modulator)
    else:
        orders = [k for k in range(1, 16) if k * frequency < SAMPLE_RATE / 2.1 and (timbre[1] < 0.7 or k % 2)]
        decay = 0.7 + 2 * timbre[2]
        fade = 4 * (timbre[0] > 0.7)  # plucked: upper partials die first
        wave = sum((np.sin(k * phase) * k**-decay * np.exp(-fade * k * time) for k in orders), np.zeros(len(time)))
    attack = 0.003 + 0.12 * timbre[3] ** 3
    envelope = (
        np.minimum(1, time / attack) * np.exp(-time * (0.3 + 5 * timbre[4])) * np.minimum(1, (time[-1] - time) / 0.02)
    )
    return np.asarray(wave * envelope)


def _place(out: Wave, wave: Wave, seconds: float) -> None:
    start = int(seconds * SAMPLE_RATE)
    if 0 <= start < len(out):
        piece = wave[: len(out) - start]
        out[start : start + len(piece)] += piece


def _solo(rng: np.random.Generator) -> Wave:
    """A bowed or blown instrument alone: long notes with vibrato, now and then sliding from one to the next."""
    notes = np.cumsum(rng.integers(-4, 5, 12)) + rng.integers(50, 84)
    lengths = rng.choice([0.3, 0.6, 1.2, 2.5, 6.0]) * rng.uniform(0.7, 1.3, len(notes))
    steps = np.repeat(notes, np.maximum(1, (lengths * SAMPLE_RATE).astype(int)))
    steps = np.resize(steps, SAMPLES).astype(np.float64)
    if rng.random() < 0.4:  # sliding
        width = int(rng.uniform(0.05, 0.3) * SAMPLE_RATE)
        steps = np.convolve(np.pad(steps, width, mode="edge"), np.ones(width) / width, "same")[width:-width]
    time = np.arange(SAMPLES) / SAMPLE_RATE
    vibrato = rng.choice([0.0, 0.15, 0.4]) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time)
    phase = 2 * np.pi * np.cumsum(440.0 * 2 ** ((steps + vibrato - 69) / 12)) / SAMPLE_RATE
    highest = SAMPLE_RATE / 2.2 / _hertz(float(notes.max()) + 1)
    orders = np.arange(1, max(2, int(min(20.0, highest))))
    strengths = orders ** -rng.uniform(0.4, 2.0) * rng.uniform(0.2, 1.0, len(orders))
    wave = sum(
        (level * np.sin(order * phase) for order, level in zip(orders, strengths, strict=True)), np.zeros(SAMPLES)
    )
    return wave * creatures.swells(rng, SAMPLES, 0.3) + 0.01 * rng.random() * rng.standard_normal(SAMPLES)


def _degree(scale: tuple[int, ...], step: int) -> int:
    return 12 * (step // len(scale)) + scale[step % len(scale)]


def _melody(rng: np.random.Generator, beat: float, root: int, scale: tuple[int, ...], _: tuple[int, ...]) -> Wave:
    out, timbre, now, step = np.zeros(SAMPLES), rng.random(6), 0.0, int(rng.integers(7, 14))
    while now < SECONDS:
        length = beat * rng.choice([0.25, 0.5, 0.5, 1.0, 2.0])
        if rng.random() < 0.85:
            _place(out, _tone(rng, timbre, root + _degree(scale, step), length * rng.uniform(0.7, 1.4)), now)
        step = int(np.clip(step + rng.integers(-3, 4), 3, 18))
        now += length
    return out


def _chords(
    rng: np.random.Generator, beat: float, root: int, scale: tuple[int, ...], progression: tuple[int, ...]
) -> Wave:
    out, timbre, broken = np.zeros(SAMPLES), rng.random(6), rng.random() < 0.4
    length = beat * rng.choice([1, 2, 4])
    for place in range(int(SECONDS / length) + 1):
        degree = progression[place % len(progression)]
        for index, step in enumerate((degree, degree + 2, degree + 4)):
            delay = index * length / 4 if broken else 0.0
            _place(out, _tone(rng, timbre, root + _degree(scale, step), length - delay), place * length + delay)
    return out


def _bass(
    rng: np.random.Generator, beat: float, root: int, scale: tuple[int, ...], progression: tuple[int, ...]
) -> Wave:
    out, timbre = np.zeros(SAMPLES), rng.random(6)
    for place in range(int(SECONDS / beat) + 1):
        degree = progression[place // 4 % len(progression)]
        _place(out, _tone(rng, timbre, root - 12 + _degree(scale, degree), beat * 0.9), place * beat)
    return out


def _drums(
    rng: np.random.Generator, beat: float, root: int, scale: tuple[int, ...], progression: tuple[int, ...]
) -> Wave:
    out, time = np.zeros(SAMPLES), np.arange(4000) / SAMPLE_RATE
    kick = np.sin(2 * np.pi * (45 * time + 5 * (1 - np.exp(-time * 30)))) * np.exp(-time * rng.uniform(8, 20))
    snare = 0.6 * rng.standard_normal(4000) * np.exp(-time * rng.uniform(15, 35))
    hat = 0.3 * np.diff(rng.standard_normal(4001)) * np.exp(-time * rng.uniform(40, 120))
    pattern = rng.random((3, 8)) < np.array([[0.3], [0.15], [0.7]])
    pattern[0, [0, 4]] = pattern[1, [2, 6]] = True
    for place in range(int(SECONDS / beat * 2) + 1):
        for hits, sound in zip(pattern, (kick, snare, hat), strict=True):
            if hits[place % 8]:
                _place(out, sound, place * beat / 2)
    return out


def _gusts(rng: np.random.Generator) -> Wave:
    """Noise of any colour that swells and fades."""
    wave = coloured_noise(SAMPLES, rng.uniform(0, 2), rng).astype(np.float64)
    knots = rng.uniform(0.1, 1.0, int(rng.integers(2, 40)))
    return wave * np.interp(np.linspace(0, 1, SAMPLES), np.linspace(0, 1, len(knots)), knots)


def _knocks(rng: np.random.Generator) -> Wave:
    """Irregular knocks, scratches and crackles in a faint room."""
    out = 0.01 * coloured_noise(SAMPLES, 1.0, rng).astype(np.float64)
    for _ in range(int(rng.integers(2, 60))):
        time = np.arange(int(rng.uniform(0.01, 0.3) * SAMPLE_RATE)) / SAMPLE_RATE
        burst = coloured_noise(len(time), rng.uniform(0, 2), rng) * np.exp(-time * rng.uniform(20, 200))
        _place(out, np.asarray(rng.uniform(0.1, 1.0) * burst, np.float64), rng.uniform(0, SECONDS))
    return out


def _hum(rng: np.random.Generator) -> Wave:
    """A machine: an unsteady low buzz inside noise."""
    drift = np.cumsum(rng.standard_normal(SAMPLES)) * rng.uniform(0, 2e-4)
    phase = 2 * np.pi * np.cumsum(rng.uniform(25, 180) * (1 + 0.02 * drift)) / SAMPLE_RATE
    buzz = sum((np.sin(k * phase) * rng.uniform(0.1, 1) / k for k in range(1, 12)), np.zeros(SAMPLES))
    wave = coloured_noise(SAMPLES, rng.uniform(0.3, 2), rng)
    return np.asarray(buzz / np.std(buzz) + rng.uniform(0.5, 2.5) * wave, np.float64)
