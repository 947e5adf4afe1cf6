"""Measures over time: level and zero crossings in librosa's framing, tempo, and where a recording is active.

Tempo is librosa's: Ellis, "Beat tracking by dynamic programming", 2007; Grosche, Müller and Kurth, "Cyclic tempogram",
2010.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.framing import HOP, SAMPLE_RATE, WINDOW, Float, centred
from dsp.mel import window

CROSSING_FLOOR = 1e-10  # samples at or below this magnitude count as zero, and zero counts as positive


def _windowed_sums(values: Float) -> NDArray[np.float64]:
    """Sum over each window, through sums over hops: a window is a whole number of hops.

    Args:
        values: float32 [samples], already padded.

    Returns:
        float64 [frames].
    """
    hops = values.size // HOP
    per_hop = values[: hops * HOP].reshape(hops, HOP).sum(axis=1, dtype=np.float64)
    sums: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(per_hop, WINDOW // HOP).sum(axis=1)
    return sums


def rms(samples: Float) -> NDArray[np.float64]:
    """Root mean square of each frame.

    Args:
        samples: float32 [samples].

    Returns:
        float64 [frames].
    """
    root: NDArray[np.float64] = np.sqrt(_windowed_sums(np.square(centred(samples))) / WINDOW)
    return root


def zero_crossing_rate(samples: Float) -> NDArray[np.float64]:
    """Share of samples in each frame whose sign differs from that of the sample before.

    Args:
        samples: float32 [samples].

    Returns:
        float64 [frames], 0 to 1.
    """
    padded = centred(samples, mode="edge")
    negative = padded < -CROSSING_FLOOR
    crossed = np.zeros(padded.size, np.float32)
    crossed[1:] = negative[1:] != negative[:-1]
    sums = _windowed_sums(crossed)
    # a crossing into the first sample of a frame belongs to the frame before
    rate: NDArray[np.float64] = (sums - crossed[: sums.size * HOP : HOP]) / WINDOW
    return rate


FRAMES_PER_MINUTE = 60 * SAMPLE_RATE / HOP
SPAN = 8 * SAMPLE_RATE // HOP  # frames: 8 s of envelope are autocorrelated at a time
TRANSFORM = 1024  # points: no less than 2 SPAN, so that no lag wraps around
TYPICAL_BPM = 120.0  # centre of the log-normal prior, one octave wide
HIGHEST_BPM = 320.0
SHARPENING = 1e6  # librosa's factor inside log(1 + .), which lets strong periodicities outweigh the prior


def onset_envelope(log_mel_db: Float) -> Float:
    """Mean rise of the mel bands, each value at the time where the rise is audible.

    Args:
        log_mel_db: dB, float32 [frames, bands].

    Returns:
        float32 [frames].
    """
    rise = np.maximum(np.diff(log_mel_db, axis=0), 0).mean(axis=1)
    delay = 1 + WINDOW // (2 * HOP)  # one frame for the difference, half a window for the framing
    return np.concatenate([np.zeros(delay, np.float32), rise])[: log_mel_db.shape[0]]


def _mean_tempogram(envelope: Float) -> Float:
    """Autocorrelation of the windowed envelope around every frame, each scaled to a peak of 1, averaged.

    Args:
        envelope: float32 [frames].

    Returns:
        float32 [SPAN], by lag in frames.
    """
    half = SPAN // 2
    padded = np.pad(envelope, half, mode="linear_ramp", end_values=0)
    pieces = np.lib.stride_tricks.sliding_window_view(padded, SPAN)[: envelope.size] * window(SPAN)
    transform = np.fft.rfft(pieces, TRANSFORM, axis=1)
    power = np.square(transform.real) + np.square(transform.imag)
    energy = np.square(pieces).sum(axis=1)  # the value at lag 0, which is the largest
    power /= np.where(energy > np.finfo(np.float32).tiny, energy, 1)[:, None]
    # the mean of the transforms is the transform of the mean: one inverse is enough
    return np.fft.irfft(power.mean(axis=0), TRANSFORM)[:SPAN].astype(np.float32)


def tempo(envelope: Float) -> float:
    """Global tempo.

    Args:
        envelope: Onset envelope, float32 [frames].

    Returns:
        Beats per minute; 0 where nothing ever starts.
    """
    if not envelope.any():
        return 0.0
    lags = np.arange(1, SPAN)
    bpm: NDArray[np.float64] = FRAMES_PER_MINUTE / lags
    prior = -0.5 * np.log2(bpm / TYPICAL_BPM) ** 2
    score = np.log1p(SHARPENING * np.maximum(_mean_tempogram(envelope)[1:], 0)) + prior
    score[bpm >= HIGHEST_BPM] = -np.inf
    return float(bpm[np.argmax(score)])


FRAME_S = 0.02
LOUD_S = 0.5  # what is louder than all but this much says how loud a recording is where something happens
QUIET_DB = 26.0  # below that a frame is quiet: speech is rarely, room tone of a usable recording nearly always
PAUSE_S = 0.6  # quiet stretches of at least this length are cut; shorter ones are the pauses of speech
MARGIN_S = 0.1  # of a cut stretch that stays at each side, so that no consonant is lost
FLOOR_DB = -100.0
# Seconds after which the loudness of a recording is measured again. Sound that comes later does not count, unless it is
# more than ``QUIET_DB`` louder.
BLOCK_S = 30.0


def without_pauses(samples: Float, sample_rate: int) -> Float:
    """A recording without its long quiet stretches, so that silence around or within speech does not affect answers.

    Args:
        samples: float32 [n].
        sample_rate: Hz.

    Returns:
        float32 [m], m <= n; the very array where nothing is cut.
    """
    kept = active(samples, sample_rate)
    return samples if kept.all() else samples[kept]


def active(samples: Float, sample_rate: int) -> NDArray[np.bool_]:
    """Which samples are not in a long quiet stretch, bool [n]."""
    frame = round(FRAME_S * sample_rate)
    if len(samples) < frame:
        return np.full(len(samples), True)
    levels = frame_levels(samples, frame, FLOOR_DB)
    count = len(levels)
    block, shortest, margin = (round(seconds / FRAME_S) for seconds in (BLOCK_S, PAUSE_S, MARGIN_S))
    louds = np.array([_loud(levels[: start + block]) for start in range(0, count, block)])
    louds[louds < louds[-1] - QUIET_DB] = louds[-1]  # nothing has happened yet
    quiet = levels < np.repeat(louds, block)[:count] - QUIET_DB
    return outside_long_runs(quiet, frame, len(samples), shortest, margin)


def frame_levels(samples: Float, frame: int, lowest_dbfs: float) -> NDArray[np.float64]:
    """RMS level of each whole frame; that of all samples where they are fewer than a frame has.

    Args:
        samples: float32 [n], at least one, in [-1, 1].
        frame: Samples of a frame.
        lowest_dbfs: Lower levels, digital silence among them, count as this (dBFS).

    Returns:
        float64 [frames], in dBFS.
    """
    count = samples.size // frame
    whole = samples[: count * frame].reshape(count, frame) if count else samples.reshape(1, -1)
    power = np.square(whole, dtype=np.float64).mean(axis=1)
    return np.asarray(np.maximum(10.0 * np.log10(np.maximum(power, 1e-20)), lowest_dbfs))


def _loud(levels: NDArray[np.float64]) -> float:
    """How loud a recording is where something happens (dB), of the levels of its frames."""
    place = min(len(levels), round(LOUD_S / FRAME_S))
    return float(np.partition(levels, -place)[-place])


def outside_long_runs(quiet: NDArray[np.bool_], frame: int, size: int, shortest: int, margin: int) -> NDArray[np.bool_]:
    """Which samples are not in a long run of quiet frames.

    Args:
        quiet: Of each frame, bool [frames].
        frame: Samples of one.
        size: Samples in all; those behind the last frame go with it.
        shortest: Run that counts as long (frames).
        margin: Frames of such a run that stay at each side, but for the ends of the recording.

    Returns:
        bool [size].
    """
    kept = np.full(size, True)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]])))
    for start, end in edges.reshape(-1, 2):
        if end - start >= shortest:
            first = start if start == 0 else start + margin
            last = size if end == len(quiet) else (end - margin) * frame
            kept[first * frame : last] = False
    return kept
