"""What crosses from the API process to a runner for one item."""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray


class Parcel(NamedTuple):
    """An item, and whose it is.

    Attributes:
        item: Audio, float32 [samples] at the model's rate, or a picture, uint8 [height, width, 3] RGB.
        request_id: The request that it belongs to, for the runner's log; empty when there is none.
        traceparent: The span that it belongs to, as ``core.tracing.here`` gives it; empty when there is none.
    """

    item: NDArray[Any]
    request_id: str = ""
    traceparent: str = ""
