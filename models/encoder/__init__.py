"""The speech encoder that the voice and scene models share: the first layers of Whisper tiny.

The encoder is OpenAI's (Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", 2022; MIT
licence), multilingual, and is not trained further: ``training.encoder`` converts it. A model adds a head of its own.
"""

from __future__ import annotations

from pathlib import Path

SAMPLE_RATE = 16_000  # Hz
BANDS = 80  # mel bands
WIDTH = 384  # of a hidden state
LAYERS = 3  # transformer layers that are read; the fourth and the last norm told the classes apart less well
FEATURES = 2 * LAYERS * WIDTH  # mean and standard deviation over time of the output of each layer
FRAME_S = 0.02  # seconds from one hidden state to the next
LEVELS = 6  # numbers that say how loud a clip is

WEIGHTS = Path(__file__).parent / "weights"
NATIVE = "encoder.safetensors"
COMPILED = Path("openvino") / "encoder.xml"
HEAD = "head.npz"
COMPILED_OFFSETS = COMPILED.with_suffix(".json")  # where the native file's values lie in the compiled form's
