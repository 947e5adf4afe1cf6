"""mosec with its dynamic batching, decoding in a stage of its own.

``python -m benchmarks.peers.mosec_app --port PORT --timeout MS``; mosec takes the file itself as the body, not a form.
"""

from __future__ import annotations

from typing import Any

from mosec import Server, Worker

from benchmarks.peers import native


class Decode(Worker):  # type: ignore[misc]
    """Bytes to features."""

    def __init__(self) -> None:
        """Loads the pre-processing alone."""
        self.spec, _, self.processor = native.opened(native.workload())

    def deserialize(self, data: bytes) -> bytes:
        """The body as it is."""
        return data

    def forward(self, data: bytes) -> Any:
        """One upload."""
        return [self.processor.prepare(item).features for item in native.read(self.spec.input, data)]


class Infer(Worker):  # type: ignore[misc]
    """Features to answers."""

    def __init__(self) -> None:
        """Loads the model."""
        self.model = native.Model()

    def forward(self, data: list[Any]) -> list[native.Prediction]:
        """A batch."""
        return self.model.answer(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Decode, num=1)
    server.append_worker(
        Infer, num=1, max_batch_size=native.BATCH, max_wait_time=round(1000 * native.BATCH_WAIT_S), timeout=600
    )
    server.run()
