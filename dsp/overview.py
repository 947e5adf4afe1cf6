"""A recording at a glance: its outline and its mel spectrogram in few enough points to be looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.mel import Float, MelConfig, log_mel

FRAME_S = 0.064  # several periods of a low voice, or a heart sound in a few frames
HOP_S = 0.010
FRAMES_A_COLUMN = 4  # averaged, so that what is short is still seen in a long recording
BANDS_BY_BIN = 8  # mel bands for so many bins of the transform: more would leave low bands empty
LOW_HZ = 20.0
RANGE_DB = 80.0
FLOOR = 1e-12  # power; below everything that is shown
QUIETEST_TOP_DB = -30.0  # a recording without a louder moment stays dark, rather than its hiss being turned up


def outline(samples: Float, columns: int) -> NDArray[np.int8]:
    """Lowest and highest sample of equal pieces.

    Args:
        samples: float32 [samples] in [-1, 1], at least one.
        columns: Most pieces.

    Returns:
        int8 [pieces, 2], hundredths of full scale.
    """
    edges = np.linspace(0, samples.size, min(columns, samples.size), endpoint=False).astype(np.int64)
    pairs = np.stack((np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)), axis=1)
    return np.asarray(np.round(100 * np.clip(pairs, -1, 1)), np.int8)


def mel_picture(samples: Float, sample_rate: int, columns: int) -> NDArray[np.uint8]:
    """Mel spectrogram, up to half the rate.

    Args:
        samples: float32 [samples], at least one.
        sample_rate: Hz.
        columns: Most columns; a long recording is sampled, not read frame by frame.

    Returns:
        uint8 [bands, columns], lowest band first: 255 is the loudest moment, 0 is 80 dB less.
    """
    fft = 2 ** round(np.log2(FRAME_S * sample_rate))
    hop = max(round(HOP_S * sample_rate), -(-samples.size // (FRAMES_A_COLUMN * columns)))
    config = MelConfig(sample_rate, fft, hop, max(16, fft // BANDS_BY_BIN), LOW_HZ, sample_rate / 2)
    decibels = _narrowed(log_mel(samples, config, FLOOR), columns)
    top = max(float(decibels.max()), QUIETEST_TOP_DB)
    levels = np.clip((decibels - (top - RANGE_DB)) / RANGE_DB, 0, 1)
    return np.ascontiguousarray(np.round(255 * levels).astype(np.uint8).T)


def _narrowed(frames: Float, columns: int) -> Float:
    """At most so many frames: float32 [frames, bands] averaged in equal groups."""
    group = -(-len(frames) // columns)
    if group == 1:
        return frames
    starts = np.arange(0, len(frames), group)
    sizes = np.diff(np.append(starts, len(frames)))[:, None]
    return np.asarray(np.add.reduceat(frames, starts, axis=0) / sizes, np.float32)
