"""Human speech taken apart and put together again by a machine: more examples of the AI class, of the same speakers.

A detector that only sees other people's synthetic voices may learn the people. A copy of each human clip, made by a
vocoder with random settings, differs from it by the vocoder's traces alone (Wang and Yamagishi, "Spoofed training data
for speech spoofing countermeasure can be efficiently created using neural vocoders", ICASSP 2023).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Resynthesis = Callable[[Audio, np.random.Generator], Audio]

SAMPLE_RATE = 16_000  # Hz
ORDER = 18  # of the linear prediction: two poles for each kHz, and two for the source
PITCH_HZ = (70.0, 400.0)
VOICED = 0.4  # normalised autocorrelation above which a frame counts as voiced


def griffin_lim(audio: Audio, rng: np.random.Generator) -> Audio:
    """Through a mel spectrogram of 40 to 100 bands and back, the phase guessed by 4 to 40 rounds of Griffin-Lim.

    Args:
        audio: float32 [samples] at ``SAMPLE_RATE``.
        rng: Chooses the settings and the first phase.

    Returns:
        float32 [samples].
    """
    size = int(rng.choice([512, 800, 1024]))
    hop = size // 4
    magnitude = np.abs(_stft(audio, size, hop))
    if rng.random() < 0.8:
        bank = _mel_bank(int(rng.choice([40, 64, 80, 80, 100])), size)
        magnitude = np.maximum((magnitude @ bank.T) @ np.linalg.pinv(bank).T, 1e-5)
    phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
    previous = np.zeros_like(phase)
    for _ in range(int(rng.integers(4, 41))):
        rebuilt = _stft(_istft(magnitude * phase, size, hop, audio.size), size, hop)
        phase = rebuilt + 0.9 * (rebuilt - previous)  # fast Griffin-Lim (Perraudin et al., 2013)
        phase /= np.maximum(np.abs(phase), 1e-12)
        previous = rebuilt
    return _istft(magnitude * phase, size, hop, audio.size).astype(np.float32)


def linear_prediction(audio: Audio, rng: np.random.Generator) -> Audio:
    """A source-filter vocoder: all-pole spectra of each frame, driven by pulses at its pitch, or noise.

    Args:
        audio: float32 [samples] at ``SAMPLE_RATE``.
        rng: Chooses pitch changes, the mixture of pulses and noise, and the noise.

    Returns:
        float32 [samples].
    """
    size, hop = 512, 128
    spectra = _stft(audio, size, hop)
    source = _stft(_source(audio, spectra, hop, rng), size, hop)
    envelope = _envelopes(np.abs(spectra) ** 2, int(rng.integers(ORDER - 4, ORDER + 7)))
    flat = _envelopes(np.abs(source) ** 2, 4)
    return _istft(source * np.sqrt(envelope / np.maximum(flat, 1e-12)), size, hop, audio.size).astype(np.float32)


def _source(audio: Audio, spectra: NDArray[np.complex128], hop: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Pulses and noise, float64 [samples]; the pulses follow the pitch of the frames."""
    pitch, voicing = _pitch(np.abs(spectra) ** 2)
    pitch = pitch * rng.uniform(0.9, 1.1)
    if rng.random() < 0.3:
        pitch[:] = np.median(pitch)
    frame = np.minimum(np.arange(audio.size) // hop, len(pitch) - 1)
    phase = np.cumsum(pitch[frame] / SAMPLE_RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) * np.sqrt(SAMPLE_RATE / pitch[frame])
    mixture = np.where(voicing[frame] > VOICED, rng.uniform(0.75, 1.0), 0.0)
    return np.asarray(mixture * pulses + (1.0 - mixture) * rng.standard_normal(audio.size), np.float64)


def _pitch(power: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pitch (Hz) and strength (0 to 1) of each frame, by the largest peak of the autocorrelation."""
    correlation = np.fft.irfft(power, axis=1)
    short, long = round(SAMPLE_RATE / PITCH_HZ[1]), min(round(SAMPLE_RATE / PITCH_HZ[0]), correlation.shape[1] // 2 - 1)
    lags = correlation[:, short:long]
    best = lags.argmax(axis=1)
    strength = lags[np.arange(len(best)), best] / np.maximum(correlation[:, 0], 1e-12)
    return SAMPLE_RATE / (best + short).astype(np.float64), strength


def _envelopes(power: NDArray[np.float64], order: int) -> NDArray[np.float64]:
    """All-pole power spectra [frames, bins] of the same first autocorrelations (Levinson's recursion, all at once)."""
    correlation = np.fft.irfft(power, axis=1)[:, : order + 1]
    correlation[:, 0] = correlation[:, 0] * 1.0001 + 1e-9
    poly = np.zeros((len(power), order + 1))
    poly[:, 0] = 1.0
    error = correlation[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -np.sum(poly[:, :step] * correlation[:, step:0:-1], axis=1) / error
        poly[:, 1 : step + 1] += reflection[:, None] * poly[:, step - 1 :: -1][:, :step]
        error *= 1.0 - reflection**2
    response = np.fft.rfft(poly, 2 * (power.shape[1] - 1), axis=1)
    return np.asarray(error[:, None] / np.maximum(np.abs(response) ** 2, 1e-12), np.float64)


def _stft(audio: NDArray[np.floating], size: int, hop: int) -> NDArray[np.complex128]:
    """Short-time spectra [frames, size / 2 + 1] with a square-root Hann window; the clip is padded by one window."""
    padded = np.pad(audio, (size, size + hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.asarray(np.fft.rfft(frames * _window(size), axis=1), np.complex128)


def _istft(spectra: NDArray[np.complex128], size: int, hop: int, samples: int) -> NDArray[np.float64]:
    """Overlap-add, least squares: the inverse of ``_stft``."""
    frames = np.fft.irfft(spectra, size, axis=1) * _window(size)
    weight = np.broadcast_to(_window(size) ** 2, frames.shape)
    return (_overlap_add(frames, hop) / np.maximum(_overlap_add(weight, hop), 1e-8))[size : size + samples]


def _overlap_add(frames: NDArray[np.float64], hop: int) -> NDArray[np.float64]:
    """Sum of frames [frames, size], each ``hop`` samples (a divisor of the size) after the one before."""
    overlap = frames.shape[1] // hop
    total = np.zeros((len(frames) + overlap - 1, hop))
    for part in range(overlap):
        total[part : part + len(frames)] += frames[:, part * hop : (part + 1) * hop]
    return total.ravel()


def _window(size: int) -> NDArray[np.float64]:
    return np.asarray(np.sin(np.pi * (np.arange(size) + 0.5) / size), np.float64)


def _mel_bank(bands: int, size: int) -> NDArray[np.float64]:
    """Triangles [bands, size / 2 + 1] from 0 Hz to Nyquist at equal distances in mel."""
    edges = 700.0 * (10.0 ** (np.linspace(0.0, 2595.0 * np.log10(1.0 + 8000.0 / 700.0), bands + 2) / 2595.0) - 1.0)
    frequency = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)[None]
    rise = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(np.minimum(rise, fall), 0.0), np.float64)
