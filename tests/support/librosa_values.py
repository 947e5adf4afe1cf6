"""What librosa 0.11.0 computes, as the yardstick of our features: ``python -m tests.support.librosa_values`` writes it.

The values are kept, and librosa is not installed: its compiler (numba with LLVM) takes 0.2 GB. The inputs never change;
whoever changes a setting below installs librosa into an environment of their own and makes the file anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.framing import HOP, SAMPLE_RATE, WINDOW, Float
from dsp.mel import MelConfig
from models.deepfake_cnn.processing import BANDS, MEL
from tests.support.served import DATA

FILE = DATA / "librosa.npz"
VOICES = sorted((DATA / "voices").glob("*.flac"))
MELS = [
    MelConfig(16_000, 512, 160, 128, 0.0, 8000.0),
    MelConfig(16_000, 1024, 256, 128, 20.0, 8000.0, centre=False),
    MelConfig(2_000, 128, 32, 40, 25.0, 800.0),
    MelConfig(16_000, 1024, 256, 128, 0.0, 8000.0, window=512),
]
SPARSE = 10  # of the frames of a spectrum, which are large, one in so many is kept


def values() -> dict[str, NDArray[Any]]:
    """The kept values, by name: ``<voice>/<feature>``, ``mel/<number>``, ``bank/<number>`` and ``cnn``."""
    with np.load(FILE) as kept:
        return dict(kept)


def samples(path: Path) -> Float:
    """A recording of the tests, float32 [samples]."""
    read, rate = soundfile.read(path, dtype="float32")
    assert rate == SAMPLE_RATE
    return np.asarray(read, np.float32)


def chirp(rate: int, seconds: float = 1.3) -> Float:
    """A rising tone in noise, float32 [samples]."""
    time = np.arange(int(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * (50 + 0.1 * rate * time) * time)
    return (0.2 * tone + 0.02 * np.random.default_rng(0).standard_normal(len(time))).astype(np.float32)


def syllables(seconds: float, seed: int = 0) -> Float:
    """A made voice, float32 [samples] at the rate of the spectrogram member."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(150 + 30 * np.sin(2 * np.pi * 2 * time)) / SAMPLE_RATE
    wave = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.3 * np.sin(7 * phase)
    loudness = 1 + np.sin(2 * np.pi * 3 * time)
    return np.asarray(0.1 * wave * loudness + 0.002 * rng.standard_normal(len(time)), np.float32)


def _of_voice(voice: Float) -> dict[str, NDArray[Any]]:
    from librosa import feature, stft
    from librosa.onset import onset_strength

    framing = {"n_fft": WINDOW, "hop_length": HOP}
    spectral = {"y": voice, "sr": SAMPLE_RATE, **framing}
    level = {"frame_length": WINDOW, "hop_length": HOP}
    onsets = onset_strength(**spectral)
    return {
        "spectrum": np.abs(stft(voice, **framing)).T[::SPARSE],
        "centroid": feature.spectral_centroid(**spectral)[0],
        "bandwidth": feature.spectral_bandwidth(**spectral)[0],
        "flatness": feature.spectral_flatness(y=voice, **framing)[0],
        "rolloff": feature.spectral_rolloff(**spectral, roll_percent=0.85)[0],
        "contrast": feature.spectral_contrast(**spectral, fmin=200.0, n_bands=5).T,
        "mfcc": feature.mfcc(**spectral, n_mfcc=13).T,
        "rms": feature.rms(y=voice, **level)[0],
        "zero crossings": feature.zero_crossing_rate(voice, **level)[0],
        "onsets": onsets,
        "tempo": feature.tempo(onset_envelope=onsets, sr=SAMPLE_RATE, hop_length=HOP),
    }


def _mel(clip: Float, config: MelConfig) -> NDArray[Any]:
    from librosa.feature import melspectrogram

    found: NDArray[Any] = melspectrogram(
        y=clip, sr=config.sample_rate, n_fft=config.fft, hop_length=config.hop, n_mels=config.bands,
        fmin=config.low_hz, fmax=config.high_hz, center=config.centre, win_length=config.window or config.fft,
        pad_mode="constant",
    )  # fmt: skip
    return found.T


def _bank(config: MelConfig) -> NDArray[Any]:
    from librosa.filters import mel

    found: NDArray[Any] = mel(
        sr=config.sample_rate, n_fft=config.fft, n_mels=config.bands, fmin=config.low_hz, fmax=config.high_hz
    )
    return found


def _of_the_cnn() -> NDArray[Any]:
    from librosa.feature import melspectrogram

    clip = syllables(2.0)
    found: NDArray[Any] = melspectrogram(
        y=clip, sr=SAMPLE_RATE, n_fft=MEL.fft, win_length=400, hop_length=MEL.hop, n_mels=BANDS, pad_mode="constant"
    )
    return found.T


def main() -> None:
    """Writes the file."""
    made = {f"{path.stem}/{name}": value for path in VOICES for name, value in _of_voice(samples(path)).items()}
    for number, config in enumerate(MELS):
        made |= {f"mel/{number}": _mel(chirp(config.sample_rate), config), f"bank/{number}": _bank(config)}
    np.savez_compressed(FILE, **made, cnn=_of_the_cnn())  # type: ignore[arg-type]
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
