"""The CPU engine: OpenVINO on the compiled form that the store entry holds.

Chosen by measurement (``benchmarks/``); it needs no deep learning framework in the serving process.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from core.resources import default_threads

# OpenVINO fills a static table of element types at its first use, and releases the interpreter's lock meanwhile: two
# threads whose first tensors are made at the same moment wait for each other for ever (openvino 2026.4.1).
ov.Type.f32.to_dtype()

# Weights below this size stay in float32. Networks of a few million parameters gain nothing from bfloat16, and the
# wav2vec2 classifiers trained here lose by it: their filter banks need the digits (probabilities moved by up to 0.45).
BF16_FROM_BYTES = 50 * (1 << 20)


def computes_bf16(core: ov.Core) -> bool:
    """Whether this processor computes in bfloat16 natively; where it does not, bfloat16 is slower than float32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


# Largest part of a batch that may be padding: less than a tenth of a second of most clips. A batch gains a processor
# little where all items have one length, which padding eats up, and each shape that the engine has not met has to be
# planned (``benchmarks.tried``): of clips alone there are as many shapes as lengths, of batches many times as many.
PADDING = 0.01


class CompiledEngine:
    """One compiled network.

    Args:
        model: The ``model.xml`` of the compiled form; ``model.bin`` lies beside it.
        threads: Threads that compute a batch; 0 takes ``default_threads()``.
        streams: Batches that are computed at once.
        precision: ``f32``, ``bf16``, or ``auto``: bf16 for large networks that were measured to agree in it, on
            processors that compute it natively.
        bf16_agrees: Whether this network was.
    """

    def __init__(
        self, model: Path, *, threads: int = 0, streams: int = 1, precision: str = "auto", bf16_agrees: bool = False
    ) -> None:
        core = ov.Core()
        if precision == "auto":
            large = model.with_suffix(".bin").stat().st_size >= BF16_FROM_BYTES
            precision = "bf16" if large and bf16_agrees and computes_bf16(core) else "f32"
        compiled = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": streams * (threads or default_threads()),
                "NUM_STREAMS": streams,
                "INFERENCE_PRECISION_HINT": precision,
                # Several runners on one machine would otherwise pin their threads to the same first cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        # What really runs: OpenVINO takes a wish for bf16 from a processor without it, and computes in f32.
        self._precision: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.streams = streams
        self.padding = PADDING
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(compiled.create_infer_request())

    @property
    def description(self) -> str:
        """Name and arithmetic."""
        return f"openvino-{self._precision}"

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Runs one batch; a call from more threads than there are streams waits for an idle one.

        Args:
            inputs: By input name, batch axis first.

        Returns:
            Logits, float32 [batch, classes].
        """
        request = self._idle.get()
        try:
            results = request.infer(dict(inputs), share_inputs=True)
            logits: NDArray[np.float32] = np.array(results[0], dtype=np.float32)
        finally:
            self._idle.put(request)
        return logits
