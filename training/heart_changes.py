"""Heart recordings as other recorders, rooms and hearts would have given them, and sounds in which nothing beats."""

from __future__ import annotations

import numpy as np

from models.heart_sound.processing import MIN_SAMPLES, SAMPLE_RATE, unit_level
from models.processing import Features
from training.fitting.augment import coloured_noise, power

TONES = 24  # synthetic tones, chords and noises
CHORDS = ((1.0,), (1.0, 1.25, 1.5), (1.0, 2.0, 3.0))  # ratios of their tones
KNOTS_HZ = (25.0, 50.0, 100.0, 200.0, 400.0, 1000.0)  # between which a random frequency response is interpolated


def change(audio: Features, rng: np.random.Generator) -> Features:
    """A piece of a recording of another heart through another recorder, at unit RMS.

    Args:
        audio: float32 [samples], 2 kHz.
        rng: Source of chance.

    Returns:
        float32 [samples], at least ``MIN_SAMPLES``.
    """
    out = _respond(_stretch(_crop(audio, rng), rng), rng)
    if rng.random() < 0.6:
        noise = coloured_noise(len(out), rng.uniform(0.0, 2.0), rng)
        out = out + noise * np.sqrt(power(out) * 10 ** (-rng.uniform(5.0, 35.0) / 10))
    if rng.random() < 0.15:  # an overloaded input
        out = np.tanh(out / np.sqrt(power(out) + 1e-12) * rng.uniform(0.2, 1.0))
    return unit_level(np.asarray(out, np.float32))


def _crop(audio: Features, rng: np.random.Generator) -> Features:
    """Most of the recording, at least 3 s of it."""
    shortest = min(len(audio), 3 * SAMPLE_RATE)
    size = int(rng.integers(shortest, len(audio) + 1)) if rng.random() < 0.8 else len(audio)
    start = int(rng.integers(0, len(audio) - size + 1))
    return audio[start : start + size]


def _stretch(audio: Features, rng: np.random.Generator) -> Features:
    """Up to a fifth faster or slower: children's hearts and slow ones."""
    factor = np.exp(rng.uniform(-0.2, 0.2))
    places = np.arange(0, len(audio) - 1, factor)
    return np.asarray(np.interp(places, np.arange(len(audio)), audio), np.float32)


def _respond(audio: Features, rng: np.random.Generator) -> Features:
    """A random smooth frequency response, sometimes with a low or high corner as cheap recorders have."""
    size = -(-max(len(audio), MIN_SAMPLES) // 1024) * 1024  # transforms of prime lengths take twenty times as long
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    gain = np.interp(np.log(hertz + 1), np.log(np.array(KNOTS_HZ) + 1), rng.normal(0, 6.0, len(KNOTS_HZ)))
    if rng.random() < 0.4:
        gain -= 12 * np.log2(np.maximum(hertz / rng.uniform(250, 900), 1))  # 12 dB an octave
    if rng.random() < 0.4:
        gain -= 12 * np.log2(np.maximum(rng.uniform(25, 90) / np.maximum(hertz, 1), 1))
    return np.fft.irfft(np.fft.rfft(audio, size) * 10 ** (gain / 20), size)[: len(audio)].astype(np.float32)


def tones(count: int = TONES) -> list[Features]:
    """Steady tones, hum, chords and noises of 8 s, a little noise in each, float32 [samples] at unit RMS."""
    rng, time = np.random.default_rng(0), np.arange(8 * SAMPLE_RATE) / SAMPLE_RATE
    sounds = []
    for place in range(count):
        noise = coloured_noise(time.size, rng.uniform(0.0, 2.0), rng)
        pitches = rng.uniform(40.0, 700.0) * np.array(CHORDS[place % len(CHORDS)])
        tone = np.sin(2 * np.pi * np.outer(pitches, time) + rng.uniform(0, 6, (len(pitches), 1))).sum(axis=0)
        level = 0.0 if place % 4 == 3 else 1.0  # every fourth is noise alone
        sounds.append(unit_level(np.asarray(level * tone + 10 ** rng.uniform(-3.0, -0.5) * noise, np.float32)))
    return sounds
