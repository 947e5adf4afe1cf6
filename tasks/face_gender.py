"""Is this face male or female? (``docs/contract.md``, Face gender)"""

from __future__ import annotations

from core import memory
from media.cost import picture_bytes
from media.faces import crop_face, locate_faces
from media.image import decode_image
from tasks.base import Ask, Conclusion, DetectedFace, Steps
from tasks.names import MODELS_BY_QUESTION

(MODEL,) = MODELS_BY_QUESTION["face-gender"]


def find(image: bytes, size: int, max_pixels: int) -> DetectedFace:
    """Finds the largest face of a picture.

    Args:
        image: The file's bytes.
        size: Width and height of the crop (pixels).
        max_pixels: Largest area of the picture (pixels).

    Raises:
        ServiceError: As ``media.image.decode_image``; Unprocessable when no face is found.
    """
    with memory.holding(picture_bytes(image, max_pixels)):
        picture = decode_image(image, max_pixels=max_pixels)
    face, *others = locate_faces(picture)
    crop = crop_face(picture, face, size)
    return DetectedFace(face, (picture.shape[1], picture.shape[0]), crop, tuple(others))


def classify(found: DetectedFace) -> Steps[Conclusion]:
    """Concludes from the crop of a face.

    Raises:
        ServiceError: As ``Answered.check``.
    """
    (answered,) = yield [Ask(MODEL, found.crop)]
    return Conclusion.of(answered.join())
