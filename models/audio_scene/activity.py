"""A voice activity detector, which has heard far more sounds that are no speech, for the teachers to learn from.

Silero VAD (MIT; Silero Team, 2024), from its wheel on the package index. Its makers do not publish what it was trained
on; ESC-50, of which ESC-10 is a part, is among the sets that they test it on.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.training.augment import Audio
from models.training.wheels import Weights

WEIGHTS = Weights(
    "silero-vad==6.2.3",
    "silero_vad/data/silero_vad.jit",
    "e1122837f4154c511485fe0b9c64455f7b929c96fbb8d79fbdb336383ebd3720",
    "--without-detector",
)
CHUNK = 512  # samples: 32 ms at 16 kHz
CONTEXT = 64  # samples of the chunk before
FFT, HOP = 256, 128  # samples
WIDTH = 128
NAMES = (
    ("stft.forward_basis_buffer", "stft_conv.weight"),
    *((f"encoder.{place}.reparam_conv", f"conv{place + 1}") for place in range(4)),
    ("decoder.rnn", "lstm"),
)  # of layers as published, and here; the last one, which makes a probability of the state, is not needed
PEAK = 0.5  # clips are made as loud as this, for what is speech does not depend on level
LEAST = 1e-4  # peak: what is fainter stays faint


class VoiceActivity(nn.Module):
    """Four convolutions over the spectrum of each chunk, then an LSTM from chunk to chunk."""

    def __init__(self) -> None:
        super().__init__()
        bins = FFT // 2 + 1
        self.stft_conv = nn.Conv1d(1, 2 * bins, FFT, HOP, bias=False)
        self.conv1 = nn.Conv1d(bins, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, 2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, 2, padding=1)
        self.conv4 = nn.Conv1d(64, WIDTH, 3, padding=1)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    @classmethod
    def load(cls, path: Path) -> VoiceActivity:
        """From the file of ``WEIGHTS``, in evaluation mode."""
        loaded = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        published = loaded._model.state_dict()
        state = {
            name.replace(theirs, ours) + ("_l0" if ours == "lstm" else ""): value
            for theirs, ours in NAMES
            for name, value in published.items()
            if name.startswith(theirs)
        }
        detector = cls()
        detector.load_state_dict(state)
        return detector.eval()

    def forward(self, samples: Tensor) -> Tensor:
        """What it remembers after each chunk, float32 [clips, chunks, WIDTH].

        Args:
            samples: float32 [clips, samples], 16 kHz, a multiple of ``CHUNK``.
        """
        chunks = nn.functional.pad(samples, (CONTEXT, 0)).unfold(1, CONTEXT + CHUNK, CHUNK)
        clips, count, size = chunks.shape
        padded = nn.functional.pad(chunks.reshape(clips * count, 1, size), (0, CONTEXT), mode="reflect")
        real, imaginary = self.stft_conv(padded).chunk(2, dim=1)
        values = torch.sqrt(real**2 + imaginary**2)
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            values = torch.relu(convolution(values))
        states, _ = self.lstm(values.reshape(clips, count, WIDTH))
        return cast(Tensor, states)

    @torch.inference_mode()
    def windows(self, clip: Audio, size: int) -> NDArray[np.float32]:
        """What it remembers within a window, on the average, for a window from each chunk on.

        Args:
            clip: float32 [samples], 16 kHz, of any level; the last chunk is filled up with zeros.
            size: Of a window (samples), a multiple of ``CHUNK``.

        Returns:
            float32 [windows, WIDTH].
        """
        samples = np.pad(clip, (0, -len(clip) % CHUNK))
        loud = samples * np.float32(PEAK / max(float(np.abs(samples).max()), LEAST))
        states = self(torch.from_numpy(loud)[None])
        return np.asarray(states[0].unfold(0, size // CHUNK, 1).mean(dim=2).numpy(), np.float32)


def standardised(windows: NDArray[np.float32]) -> NDArray[np.float16]:
    """Zero mean and unit variance of each dimension, of [items, windows, dimensions]."""
    centre, spread = windows.mean((0, 1)), windows.std((0, 1)) + 1e-3
    return np.asarray((windows - centre) / spread, np.float16)
