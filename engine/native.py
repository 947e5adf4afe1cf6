"""The reference engine, and the one for GPUs: the native network, in torch, or in Keras on TensorFlow for faces.

It reads the same store entry as the compiled engine and needs ``requirements.txt``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from core.resources import default_threads
from engine.select import GPU_STREAMS
from models.published import network as published
from models.published.checkpoint import Checkpoint
from models.spec import ModelSpec
from models.store import Entry


class NativeNetwork(nn.Module):
    """Any model's network: torch or transformers, or Keras on TensorFlow behind ``KerasNetwork``.

    All take their inputs in the order in which the model's processor collates them.
    """

    def __init__(self, network: nn.Module) -> None:
        """Takes over a network in evaluation mode."""
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """Logits [batch, classes]."""
        answer = self.network(*inputs)
        logits: Tensor = getattr(answer, "logits", answer)
        return logits


class KerasNetwork(nn.Module):
    """A Keras network on TensorFlow, called with torch's arrays. It runs where TensorFlow puts it."""

    def __init__(self, network: Any) -> None:
        """Takes over a ``keras.Model``."""
        super().__init__()
        self.keras = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the network gives, [batch, classes]."""
        answer = self.keras(*(tensor.float().cpu().numpy() for tensor in inputs), training=False)
        return torch.from_numpy(np.array(answer, np.float32)).to(inputs[0].device)


def load_network(spec: ModelSpec, weights: Path) -> NativeNetwork:
    """Loads a model's native network.

    Args:
        spec: The model.
        weights: Folder with its native files: a store entry, or the bundled weights.
    """
    if checkpoint := Checkpoint.load(weights):
        network = published.load_native(weights, checkpoint, spec.classes)
    else:
        network = importlib.import_module(f"{spec.home}.network").load_native(weights)
    return NativeNetwork(network if isinstance(network, nn.Module) else KerasNetwork(network)).eval()


REDUCED = {"bf16": torch.bfloat16, "f16": torch.float16}


class NativeEngine:
    """One native network in evaluation mode.

    Args:
        spec: The model.
        entry: Its files.
        device: ``cpu`` or ``cuda``.
        threads: Threads on the CPU; 0 takes ``default_threads()``.
        precision: ``f32``, ``bf16``, ``f16``, or ``auto``: bf16 on a GPU that computes it natively, for networks that
            were measured to agree in it. An imported transformer is then held in 16 bits; in the bundled networks,
            whose heads need the digits, products alone are computed in them.

    Attributes:
        network: On the device, in its precision.
    """

    def __init__(
        self, spec: ModelSpec, entry: Entry, *, device: str = "cpu", threads: int = 0, precision: str = "auto"
    ) -> None:
        torch.set_num_threads(threads or default_threads())
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads or default_threads())  # read when TensorFlow is first used
        self._device = torch.device(device)
        if precision == "auto":
            reduced = device == "cuda" and entry.bf16_agrees and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if reduced else "f32"
        self._precision = precision
        network = load_network(spec, entry.path)
        self._held = REDUCED.get(precision) if isinstance(network.network, published.Readout) else None
        # In one step: the device would otherwise keep room for the weights in 32 bits, too.
        self.network = network.to(device=self._device, dtype=self._held)
        self._idle: SimpleQueue[Any] = SimpleQueue()  # CUDA streams; None on a CPU
        for _ in range(self.streams):
            self._idle.put(torch.cuda.Stream(self._device) if device == "cuda" else None)  # type: ignore[no-untyped-call]

    @property
    def description(self) -> str:
        """Name, device and arithmetic."""
        return f"native-{self._device.type}-{self._precision}"

    @property
    def device(self) -> str:
        """Name of the GPU; empty where there is none."""
        return torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else ""

    @property
    def streams(self) -> int:
        """One on a CPU, whose threads share a batch; on a GPU, pre-processing and copies go on beside a computation."""
        return GPU_STREAMS if self._device.type == "cuda" else 1

    @property
    def padding(self) -> float:
        """A GPU gains by batches what this much padding costs."""
        return 0.2

    def warm_up(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Runs one batch."""
        self.infer(inputs)

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Runs one batch.

        Args:
            inputs: By input name, batch axis first, in the order of the network's parameters.

        Returns:
            Logits, float32 [batch, classes].
        """
        stream = self._idle.get()
        try:
            with torch.inference_mode(), torch.cuda.stream(stream), self._arithmetic():
                logits: NDArray[np.float32] = self.network(*map(self._moved, inputs.values())).float().cpu().numpy()
        finally:
            self._idle.put(stream)
        return logits

    def release(self) -> None:
        """Gives memory that is free back to the GPU: torch keeps what the largest batch took, for itself alone."""
        torch.cuda.empty_cache()  # does nothing where no GPU is in use

    def _moved(self, array: NDArray[Any]) -> Tensor:
        """An input where and as the network reads it: a copy to a GPU goes on beside what is computed there."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self._device.type == "cuda":
            tensor = tensor.pin_memory().to(self._device, non_blocking=True)
        return tensor.to(self._held) if self._held else tensor

    def _arithmetic(self) -> contextlib.AbstractContextManager[Any]:
        if self._precision == "f32" or self._held:
            return contextlib.nullcontext()
        return torch.autocast(self._device.type, REDUCED[self._precision])
