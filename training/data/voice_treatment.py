"""What is done to every clip of a set of human and synthetic voices, alike in both classes: ``treated(...)``.

Recording conditions must not tell the classes apart. So each cut gets a faint noise floor with the spectrum of another
human recording's background, margins that hold only this noise, a low-pass, a level and a codec, all drawn by chance
from a seed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.data.codecs import Codec, codec_round_trip
from training.fitting.augment import BandLimit

Audio = NDArray[np.float32]
Spectrum = NDArray[np.float64]

SAMPLE_RATE = 16_000  # Hz
FRAME = 512  # samples (32 ms), of the frames in which quiet moments are looked for
QUIETEST = 0.1  # part of the frames that count as background
ACTIVE_DB = 30.0  # frames within so much of the loudest ones count as speech
LEVEL_DBFS = (-27.0, -17.0)  # of the active speech
FLOOR_DB = (26.0, 76.0)  # the background lies so much below the speech
FLOOR_DROP_DB = 6.0  # at most, below the level that the other recording's background has
MARGIN_S = (0.02, 0.15)
FADE = 80  # samples (5 ms)
LOW_PASS_HZ = ((6_900.0, 7_200.0), (5_200.0, 6_900.0), (3_500.0, 4_200.0))
LOW_PASS_SHARES = (0.80, 0.14, 0.06)
CODECS: dict[str, tuple[int, ...]] = {
    "libmp3lame": (32_000, 48_000, 64_000, 96_000, 128_000),
    "libopus": (24_000, 32_000, 48_000, 64_000),
    "aac": (48_000, 64_000, 96_000),
    "": (0,),  # none
}
CODEC_SHARES = (0.50, 0.12, 0.08, 0.30)


def background(recording: Audio) -> tuple[Spectrum, float]:
    """The background of a recording: power spectrum of its quietest frames, and how far it lies below the speech.

    Args:
        recording: float32 [samples] at ``SAMPLE_RATE``, at least one frame.

    Returns:
        float64 [FRAME / 2 + 1] with mean 1, and dB.
    """
    frames = _frames(recording)
    powers = np.mean(frames**2, axis=1)
    found = frames[powers > 0.0]  # digital silence has no spectrum
    if not len(found):
        return np.ones(FRAME // 2 + 1), FLOOR_DB[1]
    order = np.argsort(np.mean(found**2, axis=1))
    quiet = found[order[: max(1, int(QUIETEST * len(found)))]]
    spectrum = np.mean(np.abs(np.fft.rfft(quiet * np.hanning(FRAME), axis=1)) ** 2, axis=0)
    below = active_db(recording) - 10.0 * np.log10(np.mean(quiet**2))
    return spectrum / max(spectrum.mean(), 1e-30), float(below)


def active_db(audio: Audio) -> float:
    """Level of the speech (dBFS): over the frames near the loudest ones."""
    powers = np.sort(np.mean(_frames(audio) ** 2, axis=1))
    loudest = powers[int(0.95 * (len(powers) - 1))]
    return float(10.0 * np.log10(max(np.mean(powers[powers > loudest * 10 ** (-ACTIVE_DB / 10)]), 1e-12)))


def treated(cut: Audio, other: tuple[Spectrum, float], rng: np.random.Generator) -> tuple[Audio, str]:
    """Treats one clip.

    Args:
        cut: float32 [samples] at ``SAMPLE_RATE``: speech from its first to its last sound.
        other: ``background`` of another human recording.
        rng: Decides everything that is drawn.

    Returns:
        float32 [samples], a little longer than the cut, and the codec as in manifests (``mp3-64k``, ``none``).
    """
    level, low, high = rng.uniform(*LEVEL_DBFS), *FLOOR_DB
    below = float(np.clip(other[1] + rng.uniform(0.0, FLOOR_DROP_DB), low, high))
    margins = [int(rng.uniform(*MARGIN_S) * SAMPLE_RATE) for _ in range(2)]
    speech = np.pad(_faded(cut * np.float32(10 ** ((level - active_db(cut)) / 20))), margins)
    noisy = speech + _noise(other[0], speech.size, rng) * 10 ** ((level - below) / 20)
    corner = LOW_PASS_HZ[rng.choice(len(LOW_PASS_HZ), p=LOW_PASS_SHARES)]
    limited = BandLimit(*corner, telephone=0.0)(noisy.astype(np.float32), rng)
    name = str(rng.choice(list(CODECS), p=CODEC_SHARES))
    rate = int(rng.choice(CODECS[name]))
    if not name:
        return limited, "none"
    short = {"libmp3lame": "mp3", "libopus": "opus"}.get(name, name)
    coded: Codec = (name, rate)
    return codec_round_trip(limited, coded), f"{short}-{rate // 1000}k"


def _frames(audio: Audio) -> NDArray[np.float64]:
    whole = np.pad(audio, (0, max(0, FRAME - audio.size)))
    count = whole.size // FRAME
    return np.asarray(whole[: count * FRAME], np.float64).reshape(count, FRAME)


def _faded(audio: Audio) -> Audio:
    ramp = np.linspace(0.0, 1.0, min(FADE, audio.size // 2), dtype=np.float32)
    out = audio.copy()
    out[: ramp.size] *= ramp
    out[out.size - ramp.size :] *= ramp[::-1]
    return out


def _noise(spectrum: Spectrum, size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Stationary Gaussian noise of power 1 with a given power spectrum."""
    white = np.fft.rfft(rng.standard_normal(size + size % 2))
    gain = np.sqrt(np.interp(np.linspace(0.0, 1.0, white.size), np.linspace(0.0, 1.0, spectrum.size), spectrum))
    noise = np.fft.irfft(white * gain)[:size]
    return np.asarray(noise / np.sqrt(max(float(np.mean(noise**2)), 1e-30)), np.float64)
