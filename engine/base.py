"""What a runner asks of an engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """A network that is ready to answer."""

    @property
    def description(self) -> str:
        """Name and arithmetic, for logs and metrics, such as ``openvino-f32``."""

    @property
    def streams(self) -> int:
        """Batches that it computes at once: ``infer`` may be called from so many threads."""

    @property
    def padding(self) -> float:
        """Largest part of a batch that may be padding, where the settings do not say."""

    def infer(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Runs one batch.

        Args:
            inputs: By input name, batch axis first.

        Returns:
            Logits, float32 [batch, classes].
        """
