"""The teacher of training: a speaker encoder that has heard thousands of voices, and never been told a sex.

Resemblyzer's (Apache-2.0; Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018), from its
wheel on the package index. It was trained to tell 8,371 speakers apart: those of LibriSpeech train-other-500 (1,166),
VoxCeleb 1 (1,211) and VoxCeleb 2 (5,994). None of them is in the voice gender set, whose LibriSpeech readers are those
of train-clean-100 and test-other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dsp.mel import MelConfig, mel_power
from models.training.augment import FLOOR, Audio, power
from models.training.wheels import Weights

WEIGHTS = Weights(
    "resemblyzer==0.1.4",
    "resemblyzer/pretrained.pt",
    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    "--without-teacher",
)
MEL = MelConfig(16_000, 400, 160, 40, 0.0, 8_000.0)  # frames of 25 ms, every 10 ms
WINDOW = 160  # frames (1.6 s): what it was trained on
STEP = 80  # frames, at most, from one window to the next
QUIETEST = 10 ** (-30 / 20)  # RMS: quieter clips are made as loud as this (-30 dBFS)
WIDTH = 256
DIMENSIONS = 2 * WIDTH


class SpeakerEncoder(nn.Module):
    """Three LSTM layers over mel frames, and a linear one."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MEL.bands, WIDTH, 3, batch_first=True)
        self.linear = nn.Linear(WIDTH, WIDTH)

    @classmethod
    def load(cls, path: Path) -> SpeakerEncoder:
        """From the file of ``WEIGHTS``, in evaluation mode."""
        state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        encoder = cls()
        encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
        return encoder.eval()

    def forward(self, frames: Tensor) -> Tensor:
        """Last state and embedding before it is normalised, float32 [windows, DIMENSIONS] of [windows, WINDOW, 40]."""
        _, (states, _) = self.lstm(frames)
        return torch.cat([states[-1], torch.relu(self.linear(states[-1]))], dim=1)

    @torch.inference_mode()
    def embed(self, clips: Sequence[Audio]) -> NDArray[np.float32]:
        """What it makes of voices, each on the average over its windows; many at once take little longer than one.

        Args:
            clips: float32 [samples] at 16 kHz; less than 1.6 s is filled up with silence.

        Returns:
            float32 [clips, DIMENSIONS].
        """
        windows = [_windows(clip) for clip in clips]
        answers = self(torch.from_numpy(np.concatenate(windows))).numpy()
        ends = np.cumsum([len(of_clip) for of_clip in windows])[:-1]
        return np.stack([part.mean(axis=0) for part in np.split(answers, ends)])


def _windows(audio: Audio) -> NDArray[np.float32]:
    """Mel frames of a clip, float32 [windows, WINDOW, bands]."""
    rms = np.sqrt(max(power(audio), FLOOR))
    loud = audio * np.float32(max(1.0, QUIETEST / rms))
    frames = mel_power(np.pad(loud, (0, max(0, (WINDOW - 1) * MEL.hop - loud.size))), MEL)
    last = len(frames) - WINDOW
    starts = np.linspace(0, last, 1 + -(-last // STEP)).round().astype(int)
    return np.stack([frames[start : start + WINDOW] for start in starts])
