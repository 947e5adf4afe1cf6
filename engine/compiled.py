"""The CPU engine: OpenVINO on the compiled form that the store entry holds.

Chosen by measurement (``benchmarks/``); it needs no deep learning framework in the serving process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import LifoQueue
from threading import Lock, Thread
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from core.resources import default_threads

# OpenVINO fills a static table of element types at its first use, and releases the interpreter's lock meanwhile: two
# threads whose first tensors are made at the same moment wait for each other for ever (openvino 2026.4.1).
ov.Type.f32.to_dtype()

LARGE_FROM_BYTES = 50 * (1 << 20)  # size of the weights from which a network has a single stream
# Size from which a network gains by bfloat16: the speech encoder (13 MB) takes 40 % less processor time, the networks
# of 1 MB a millisecond.
BF16_FROM_BYTES = 5 * (1 << 20)


def computes_bf16(core: ov.Core) -> bool:
    """Whether this processor computes in bfloat16 natively; where it does not, bfloat16 is slower than float32."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


# Largest part of a batch that may be padding: less than a tenth of a second of most clips. On a processor a batch of
# equal lengths gains little, and padding uses that up. The engine also has to plan each shape that it has not met, and
# batches have many times as many shapes as single clips (``benchmarks.batch_cost``).
PADDING = 0.01


MAKER = "compile for lone batches"  # the thread that does it


class CompiledEngine:
    """One compiled network, in one form or two.

    A lone batch gets all threads, which halves its time on two cores. Where others are under way, each batch has a
    stream with threads of its own. All threads for one batch after the other would do less in a second: every layer
    ends with the slowest thread, and on a busy machine one is always late.

    Each of the two needs a compiled form of its own, with the weights in it. So the one for lone batches is made in the
    background when the first caller has come, and a model that is never asked takes no memory for it. A network of
    ``LARGE_FROM_BYTES`` or more has a single stream with all threads.

    Args:
        model: The ``model.xml`` of the compiled form; ``model.bin`` lies beside it.
        threads: Threads that compute a batch where others are under way; 0 takes ``default_threads()``.
        streams: Batches that are computed at once.
        precision: ``f32``, ``bf16``, or ``auto``: bf16 for networks of ``BF16_FROM_BYTES`` or more that were measured
            to agree in it, on processors that compute it natively.
        bf16_agrees: Whether this network was.
    """

    def __init__(
        self, model: Path, *, threads: int = 0, streams: int = 1, precision: str = "auto", bf16_agrees: bool = False
    ) -> None:
        core = ov.Core()
        size = model.with_suffix(".bin").stat().st_size
        if precision == "auto":
            precision = "bf16" if size >= BF16_FROM_BYTES and bf16_agrees and computes_bf16(core) else "f32"
        together = streams * (threads or default_threads())
        self.streams = 1 if size >= LARGE_FROM_BYTES else streams
        self.padding = PADDING
        self.device = ""
        compiled = _compile(core, model, self.streams, together, precision)
        # What really runs: OpenVINO takes a wish for bf16 from a processor without it, and computes in f32.
        self._precision: str = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        # The stream that was used last goes first: each keeps what it planned for the shapes that it has met.
        self._idle: LifoQueue[ov.InferRequest] = LifoQueue()
        for _ in range(self.streams):
            self._idle.put(compiled.create_infer_request())
        self._compile_alone = partial(_compile, core, model, 1, together, precision)
        self._alone: ov.InferRequest | None = None
        self._maker: Thread | None = None
        self._is_warm = False
        self._under_way = 0
        self._lock = Lock()

    @property
    def description(self) -> str:
        """Name and arithmetic."""
        return f"openvino-{self._precision}"

    def warm_up(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        """Runs one batch; every batch after it is a caller's."""
        self.infer(inputs)
        self._is_warm = True

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Runs one batch; a call from more threads than there are streams waits for an idle one.

        Args:
            inputs: By input name, batch axis first.

        Returns:
            Logits, float32 [batch, classes].
        """
        with self.request() as request:
            results = request.infer(dict(inputs), share_inputs=True)
            return np.array(results[0], dtype=np.float32)

    def release(self) -> None:
        """Has nothing to give back: no batches are tried on a processor."""

    def _make_alone(self) -> None:
        self._alone = self._compile_alone().create_infer_request()

    @contextlib.contextmanager
    def request(self) -> Iterator[ov.InferRequest]:
        """What computes the next batch: that with all threads where nothing is under way, or else a stream."""
        with self._lock:
            alone = self._alone if self._under_way == 0 else None
            self._under_way += 1
            if self._is_warm and self.streams > 1 and self._maker is None:
                # Waited for at exit: OpenVINO aborts a process that ends while it compiles.
                self._maker = Thread(target=self._make_alone, name=MAKER)
                self._maker.start()
        request = alone or self._idle.get()
        try:
            yield request
        finally:
            if request is not alone:
                self._idle.put(request)
            with self._lock:
                self._under_way -= 1


def _compile(core: ov.Core, model: Path, streams: int, threads: int, precision: str) -> ov.CompiledModel:
    """Compiles a network for so many streams, with so many threads for all of them."""
    return core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": precision,
            # Several runners on one machine would otherwise pin their threads to the same first cores.
            "ENABLE_CPU_PINNING": False,
        },
    )
