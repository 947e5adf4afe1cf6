"""Is this face male or female? (docs/contract.md, Face gender)"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core import memory
from media.cost import picture_bytes
from media.faces import Face, crop_face, largest_face
from media.image import decode_image
from models.spec import ImageInput
from tasks.answer import Prediction
from tasks.context import Context

MODEL = "face_gender"


@dataclass(frozen=True, slots=True)
class FaceAnswer:
    """The answer, and the face that it is about.

    Attributes:
        answer: The model's.
        face: The largest face, in pixels of the decoded picture.
        size: Width and height of the decoded picture (pixels).
        crop: What the model saw of it, uint8 RGB [size, size, 3].
    """

    answer: Prediction
    face: Face
    size: tuple[int, int]
    crop: NDArray[np.uint8]


async def classify(context: Context, image: bytes) -> FaceAnswer:
    """Answers for the largest face of a picture.

    Args:
        context: The bundle.
        image: The file's bytes.

    Raises:
        ServiceError: As ``media.image.decode``; Unprocessable when no face is found.
    """
    kind = context.models[MODEL].spec.input
    assert isinstance(kind, ImageInput)  # noqa: S101 - the model's own folder says so
    max_pixels = int(context.settings.max_image_megapixels * 1e6)

    def find() -> tuple[Face, tuple[int, int], NDArray[np.uint8]]:
        with memory.holding(picture_bytes(image, max_pixels)):
            picture = decode_image(image, max_pixels=max_pixels)
        face = largest_face(picture)
        return face, (picture.shape[1], picture.shape[0]), crop_face(picture, face, kind.size)

    context.ensure_room(MODEL)
    face, size, crop = await context.in_thread(MODEL, "image", find, len(image))
    return FaceAnswer(await context.classify(MODEL, crop), face, size, crop)
