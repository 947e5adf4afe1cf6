"""From a clip to the log-mel picture that the encoder reads; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp import temporal
from dsp.mel import filter_bank, power
from models.encoder import BANDS, LEVELS, SAMPLE_RATE
from models.processing import Features, Prepared, check_audio

FFT, HOP = 400, 160  # samples: windows of 25 ms every 10 ms, as Whisper was trained on
SILENCE = 50  # mel frames (0.5 s) behind each clip, so that its end looks like an end
STEP = 20  # mel frames (0.2 s) that the length of a batch is a multiple of: the engine plans anew for each length
RANGE = 8.0  # log10 of the power below a clip's loudest band that is still told apart (80 dB)

FRAME = 320  # samples of a level (20 ms), one for each hidden state
QUIETEST_DBFS = -100.0  # levels below, digital silence among them, count as this
ACTIVE_DB = 30.0  # frames within this of a clip's loud ones say how loud it is
LOUD_PERCENTILE = 95.0
TARGET_DBFS = -23.0  # of the active frames: what every clip is brought to before the encoder sees it
PERCENTILES = (5.0, 25.0, 50.0, 75.0)  # of the frames' levels, kept beside the two above


def frame_levels(samples: Features) -> NDArray[np.float64]:
    """RMS level of each 20 ms, float64 [frames], in dBFS, at least ``QUIETEST_DBFS``; a shorter clip is padded."""
    return temporal.frame_levels(np.pad(samples, (0, max(0, FRAME - len(samples)))), FRAME, QUIETEST_DBFS)


def measured_levels(samples: Features) -> NDArray[np.float32]:
    """How loud a clip is, float32 [``LEVELS``] in dBFS.

    The level of its active frames, that of its loud ones, and the quartiles and lowest twentieth of all.
    """
    levels = frame_levels(samples)
    loud = np.percentile(levels, LOUD_PERCENTILE)
    active = 10.0 * np.log10(np.mean(10.0 ** (levels[levels > loud - ACTIVE_DB] / 10.0)))
    return np.array([active, loud, *np.percentile(levels, PERCENTILES)], np.float32)


def log_mel(samples: Features) -> Features:
    """Whisper's log-mel picture of a clip and half a second of silence behind it.

    Args:
        samples: float32 [samples] at 16 kHz.

    Returns:
        float32 [frames, 80]; an even number of frames, the last ``SILENCE`` or one more of which are the silence.
    """
    padded = np.pad(samples, (0, -len(samples) % (2 * HOP) + SILENCE * HOP))
    spectrum = power(np.pad(padded, FFT // 2, mode="reflect"), FFT, HOP, centre=False)[:-1]
    picture = np.log10(np.maximum(spectrum @ filter_bank(SAMPLE_RATE, FFT, BANDS, 0.0, SAMPLE_RATE / 2), 1e-10))
    picture = np.maximum(picture, picture.max() - np.float32(RANGE))
    return np.asarray((picture + np.float32(4.0)) / np.float32(4.0), np.float32)


@dataclass(frozen=True, slots=True)
class EncoderProcessor:
    """Measures how loud a clip is, brings it to one level, and draws its log-mel picture."""

    def prepare(self, item: NDArray[np.float32]) -> Prepared:
        """Computes the features of one clip.

        Args:
            item: float32 [samples] at 16 kHz, in [-1, 1].

        Returns:
            Features float32 [1 + frames, 80]: ``measured_levels`` in the first row, then ``log_mel``.

        Raises:
            InvalidItem: Not one channel, no samples, or values that are not finite.
        """
        samples = check_audio(item)
        levels = measured_levels(samples)
        gain = 10.0 ** ((TARGET_DBFS - levels[0]) / 20.0) if levels[0] > QUIETEST_DBFS else 1.0
        return Prepared(
            np.concatenate([np.pad(levels, (0, BANDS - LEVELS))[None], log_mel(samples * np.float32(gain))])
        )

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[np.float32]]:
        """Pads pictures to one length; the network leaves the padding out.

        Args:
            batch: As ``prepare`` returns them.

        Returns:
            ``pictures`` float32 [batch, frames, 80], ``lengths`` float32 [batch, 1], the hidden states of each clip
            without the silence behind it, and ``levels`` float32 [batch, ``LEVELS``].
        """
        longest = max(len(item) for item in batch) - 1
        frames = -(-longest // STEP) * STEP
        pictures = np.zeros((len(batch), frames, BANDS), np.float32)
        for place, item in enumerate(batch):
            pictures[place, : len(item) - 1] = item[1:]
        lengths = np.array([[(len(item) - 1 - SILENCE) // 2] for item in batch], np.float32)
        return {"pictures": pictures, "lengths": lengths, "levels": np.stack([item[0, :LEVELS] for item in batch])}


PROCESSOR = EncoderProcessor()
