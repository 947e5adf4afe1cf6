"""From an aligned face crop to what the network reads. Scaling of values is inside the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.face_gender import SPEC
from models.processing import Features, InvalidItem, Prepared, stack
from models.spec import ImageInput


class FaceProcessor:
    """Checks crops and stacks them; see ``models.processing.Processor``."""

    def __init__(self, size: int) -> None:
        """Remembers the side of the network's input (pixels)."""
        self.size = size

    def prepare(self, item: NDArray[Any]) -> Prepared:
        """Brings one crop to the network's size.

        Args:
            item: uint8 RGB [height, width, 3], a face as ``media.faces.crop_face`` cuts it.

        Returns:
            float32 [size, size, 3], 0 to 255.

        Raises:
            InvalidItem: It is not a colour picture of bytes.
        """
        if item.ndim != 3 or item.shape[2] != 3 or min(item.shape) == 0:
            raise InvalidItem(f"a face must be an array of [height, width, 3], got {item.shape}")
        if item.dtype != np.uint8:
            raise InvalidItem(f"a face must have values of one byte, got {item.dtype}")
        if item.shape[:2] != (self.size, self.size):
            item = cv2.resize(item, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return Prepared(item.astype(np.float32))

    def collate(self, batch: Sequence[Features]) -> dict[str, NDArray[Any]]:
        """Stacks crops.

        Args:
            batch: float32 [size, size, 3] each.

        Returns:
            ``input_values``: float32 [batch, size, size, 3].
        """
        return stack(batch)


assert isinstance(SPEC.input, ImageInput)  # noqa: S101 - for the type checker
PROCESSOR = FaceProcessor(SPEC.input.size)
