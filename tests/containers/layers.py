"""What an image is made of: every file of every layer, also one that a later layer removes."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path

from tests.containers.podman import podman


def contents(image: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    """Reads a saved image.

    Args:
        image: Its tag.
        folder: Has room for it.

    Yields:
        Path and bytes of each file, and of what describes the image: configuration and history.
    """
    archive = folder / "image.tar"
    podman("save", "--output", str(archive), image)
    with tarfile.open(archive) as parts:
        for part in parts:
            file = parts.extractfile(part) if part.isfile() else None
            if file and part.name.endswith(".tar"):
                with tarfile.open(fileobj=file) as layer:
                    yield from _files(layer)
            elif file:
                yield part.name, file.read()
    archive.unlink()


def _files(layer: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    for member in layer:
        file = layer.extractfile(member) if member.isfile() else None
        yield member.name, file.read() if file else b""
