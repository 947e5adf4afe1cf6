"""What a runner asks of an engine, and which one it gets.

Only the chosen one is loaded: a process on the compiled engine never imports torch.
"""

from __future__ import annotations

import ctypes
import importlib.util
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from core.resources import default_streams
from core.settings import Settings
from models.spec import ModelSpec
from models.store import Entry


class Engine(Protocol):
    """A network that is ready to answer."""

    @property
    def description(self) -> str:
        """Name and arithmetic, for logs and metrics, such as ``openvino-f32``."""

    @property
    def device(self) -> str:
        """Name of the GPU that computes, whose batches are measured; empty for a processor."""

    @property
    def streams(self) -> int:
        """Batches that it computes at once: ``infer`` may be called from so many threads."""

    @property
    def padding(self) -> float:
        """Largest part of a batch that may be padding, where the settings do not say."""

    def warm_up(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Runs one batch, so that no caller pays for what is done only once.

        Args:
            inputs: As of ``infer``.
        """

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Runs one batch.

        Args:
            inputs: By input name, batch axis first.

        Returns:
            Logits, float32 [batch, classes].
        """

    def release(self) -> None:
        """Gives memory that is free back to the device, after batches of any size were tried on it."""


# Batches at once on a GPU: one is computed while the next is prepared and copied, and the last one's answer is read.
GPU_STREAMS = 3
NATIVE_PACKAGES = ("torch", "transformers", "keras", "tensorflow")


def build_engine(spec: ModelSpec, entry: Entry, settings: Settings) -> Engine:
    """Opens a store entry with the configured engine.

    Args:
        spec: The model.
        entry: Its store entry.
        settings: ``engine``, ``device``, ``precision`` and the runner's ``threads`` apply.
    """
    threads = settings.runner(spec.name).threads
    if is_native(settings):
        from engine.native import NativeEngine

        device = "cuda" if _on_cuda(settings) else "cpu"
        return NativeEngine(spec, entry, device=device, threads=threads, precision=settings.precision)
    from engine.compiled import CompiledEngine

    return CompiledEngine(
        entry.compiled,
        threads=threads,
        streams=streams(settings, spec.name),
        precision=settings.precision,
        bf16_agrees=entry.bf16_agrees,
    )


def streams(settings: Settings, model: str) -> int:
    """Batches that each process of a model's runner computes at once.

    Args:
        settings: The runner's ``streams``, ``threads`` and ``workers`` apply to the compiled engine.
        model: Its name.
    """
    options = settings.runner(model)
    if is_native(settings):
        return GPU_STREAMS if _on_cuda(settings) else 1
    return options.streams or default_streams(options.workers, options.threads)


def is_native(settings: Settings) -> bool:
    """Whether the native networks run, and not their compiled forms."""
    return settings.engine == "native" or _on_cuda(settings)


def problem(settings: Settings) -> tuple[str, str] | None:
    """What is wrong with the settings of the engine on this machine: the variable and a few words."""
    if settings.engine == "compiled" and settings.device == "cuda":
        return "DEVICE", "the compiled engine runs on the CPU; cuda needs ENGINE=native"
    if settings.precision == "f16" and settings.device != "cuda":
        return "PRECISION", "f16 needs DEVICE=cuda"
    if (settings.engine == "native" or settings.device == "cuda") and (missing := _missing()):
        return "ENGINE", f"the native engine needs {', '.join(missing)}: pip install -r requirements.txt"
    if settings.device == "cuda" and not _can_use_gpu():
        return "DEVICE", "cuda needs an NVIDIA driver that offers a GPU, and torch built with CUDA"
    return None


def _on_cuda(settings: Settings) -> bool:
    """Whether networks run on a GPU; ``problem`` has made sure that it can be done where it was asked for."""
    if settings.engine == "compiled" or settings.device == "cpu":
        return False
    return settings.device == "cuda" or _can_use_gpu()


def _can_use_gpu() -> bool:
    return not _missing() and _torch_has_cuda() and gpus() > 0


def _missing() -> list[str]:
    return [name for name in NATIVE_PACKAGES if importlib.util.find_spec(name) is None]


def gpus() -> int:
    """Number of NVIDIA devices that this process may use, asked of the driver itself: torch takes seconds to load."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
    return 0 if failed else count.value


def _torch_has_cuda() -> bool:
    """Whether the installed torch is built with CUDA, as its own version file says."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None  # noqa: S101 - ``_missing`` was asked first
    assert spec.origin is not None  # noqa: S101 - it is a package with files
    return runpy.run_path(str(Path(spec.origin).with_name("version.py")))["cuda"] is not None
