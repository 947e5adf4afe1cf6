"""The 47 acoustic features of a voice: what the feature network reads and what explanations speak about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import spectral, temporal
from dsp.framing import Float, spectrum
from dsp.pitch import track
from dsp.pulses import find
from dsp.spectral import COEFFICIENTS, log_mel, mfcc, phase_coherence
from dsp.voice_quality import harmonicity, jitter, shimmer

LARGEST = 1e4  # no feature of audio within [-1, 1] comes near it: frequencies end at 8 kHz


@dataclass(frozen=True, slots=True)
class Feature:
    """One of the 47.

    Attributes:
        name: As in the order of the network's input and in explanations.
        unit: ``Hz``, ``dB``, ``BPM``, ``ratio``, or nothing for a number without one.
    """

    name: str
    unit: str = ""


FEATURES: tuple[Feature, ...] = (
    *(Feature(f"mfcc_{i}_mean") for i in range(1, COEFFICIENTS + 1)),
    *(Feature(f"mfcc_{i}_std") for i in range(1, COEFFICIENTS + 1)),
    Feature("spectral_centroid", "Hz"),
    Feature("spectral_bandwidth", "Hz"),
    Feature("spectral_rolloff", "Hz"),
    Feature("spectral_flatness"),
    *(Feature(f"spectral_contrast_{i}", "dB") for i in range(1, spectral.CONTRAST_BANDS + 2)),
    Feature("pitch_mean", "Hz"),
    Feature("pitch_std", "Hz"),
    Feature("jitter", "ratio"),
    Feature("shimmer", "ratio"),
    Feature("hnr", "dB"),
    Feature("zcr", "ratio"),
    Feature("rms_energy"),
    Feature("rms_variance"),
    Feature("tempo", "BPM"),
    Feature("phase_coherence"),
    Feature("spectral_flux"),
)
FEATURE_NAMES: tuple[str, ...] = tuple(feature.name for feature in FEATURES)


def extract(samples: Float) -> Float:
    """Measures the 47 features.

    Args:
        samples: float32 [samples], mono, 16 kHz, in [-1, 1], at least one sample. Any length works; the contract of the
            voice endpoint cuts to 30 s and pads to 1 s before.

    Returns:
        float32 [47] in the order of ``FEATURE_NAMES``; always finite. What is not there to be measured (the pitch of
        a whisper, the tempo of silence) is 0.
    """
    transform = spectrum(samples)
    power = np.square(transform.real) + np.square(transform.imag)
    bands = log_mel(power)
    share = spectral.distribution(np.sqrt(power))
    values = np.concatenate(
        [
            *spectral.column_statistics(mfcc(bands)),
            _shape(power, share),
            _voice(samples),
            _level(samples),
            [temporal.tempo(temporal.onset_envelope(bands)), phase_coherence(transform)],
            [spectral.flux(share).mean() if share.shape[0] > 1 else 0.0],
        ]
    )
    return np.asarray(np.nan_to_num(np.clip(values, -LARGEST, LARGEST), nan=0.0), np.float32)


def _shape(power: Float, share: Float) -> NDArray[np.float64]:
    """Features 27 to 36: means of centroid, bandwidth, roll-off, flatness and the six contrasts."""
    centroid, bandwidth = spectral.centroid_and_bandwidth(share)
    columns = [centroid, bandwidth, spectral.rolloff(share), spectral.flatness(power)]
    return np.concatenate([[c.mean() for c in columns], spectral.contrast(np.sqrt(power)).mean(axis=0)])


def _voice(samples: Float) -> NDArray[np.float64]:
    """Features 37 to 41: mean and standard deviation of the pitch, jitter, shimmer, harmonics-to-noise ratio."""
    pitch = track(samples)
    pulses = find(samples, pitch)
    voiced, ratios = pitch.voiced, harmonicity(samples)
    return np.array(
        [
            voiced.mean() if voiced.size else 0.0,
            voiced.std(ddof=1) if voiced.size > 1 else 0.0,
            jitter(pulses),
            shimmer(samples, pulses),
            ratios.mean() if ratios.size else 0.0,
        ]
    )


def _level(samples: Float) -> NDArray[np.float64]:
    """Features 42 to 44: zero-crossing rate, mean and variance of the frames' level."""
    rms = temporal.rms(samples)
    return np.array([temporal.zero_crossing_rate(samples).mean(), rms.mean(), rms.var()])


def named(values: Float) -> dict[str, float]:
    """The same values by name.

    Args:
        values: float32 [47].
    """
    return dict(zip(FEATURE_NAMES, values.tolist(), strict=True))
