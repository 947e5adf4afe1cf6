"""Pitch and formants, moved apart from each other.

Among a few hundred speakers a high pitch nearly always goes with short formants, so a network learns the pitch and
little else, and fails on the voices in which the two disagree. Here the pitch moves by a large factor while the
formants, which follow the size of the throat, stay where they are or move by a small one of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from models.training.augment import FLOOR, SAMPLE_RATE, Audio, power

SIZE, HOP = 512, 128  # samples: frames of 32 ms, every 8 ms
LIFTER = 40  # cepstral coefficients of the envelope: 2.5 ms, shorter than a period at 400 Hz
MOST = 3.0  # nepers by which the envelope is changed at a frequency


@dataclass(frozen=True, slots=True)
class Pitch:
    """Resamples a voice, which moves pitch and formants alike, and moves the spectral envelope back.

    Attributes:
        spread: Largest change of the pitch (natural logarithm of the factor); 0.18 is three semitones.
        formants: The same of the formants.
    """

    spread: float = 0.18
    formants: float = 0.04

    def __call__(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Changes pitch and formants; the level stays, the length follows the pitch."""
        factor, kept = (float(np.exp(rng.uniform(-most, most))) for most in (self.spread, self.formants))
        faster = soxr.resample(audio, SAMPLE_RATE * factor, SAMPLE_RATE)
        out = _moved(faster.astype(np.float64), factor / kept)
        return np.asarray(np.clip(out * np.sqrt(power(audio) / max(power(out), FLOOR)), -1.0, 1.0), np.float32)


def _moved(audio: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """Gives each frame, at every frequency, the envelope that it had at ``factor`` times that frequency."""
    window = np.hanning(SIZE + 1)[:-1]
    padded = np.pad(audio, (SIZE, SIZE + HOP))
    spectra = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(padded, SIZE)[::HOP] * window, axis=1)
    envelopes = _envelopes(np.abs(spectra))
    last = spectra.shape[1] - 1
    source = np.minimum(np.arange(last + 1) * factor, last)
    below = np.floor(source).astype(int)
    share = source - below
    wanted = envelopes[:, below] * (1 - share) + envelopes[:, np.minimum(below + 1, last)] * share
    frames = np.fft.irfft(spectra * np.exp(np.clip(wanted - envelopes, -MOST, MOST)), axis=1) * window
    out, weight = np.zeros(padded.size + SIZE), np.zeros(padded.size + SIZE)
    for place, frame in enumerate(frames):
        out[place * HOP : place * HOP + SIZE] += frame
        weight[place * HOP : place * HOP + SIZE] += window**2
    return (out / np.maximum(weight, 1e-3))[SIZE : SIZE + audio.size]


def _envelopes(magnitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms of the smoothed spectra (liftered cepstra), float64 [frames, bins], of magnitudes of that shape."""
    cepstra = np.fft.irfft(np.log(magnitudes + 1e-5), axis=1)
    cepstra[:, LIFTER : 1 - LIFTER] = 0.0
    return np.asarray(np.fft.rfft(cepstra, axis=1).real)
