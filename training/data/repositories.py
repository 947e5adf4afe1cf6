"""Files of public repositories and packages, at the commits and versions that a list of clips names."""

from __future__ import annotations

import io
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz, of the encoder
ADDRESS = "https://github.com/{}"
DEBIAN = "debian:"  # begins the name of a package in place of a repository
RECORDINGS = 512  # kept in memory, as many are read again
LONGEST_S = 60.0  # so much of a recording is read

Audio = NDArray[np.float32]


class Repositories:
    """Files of public repositories at given commits, from clones in a folder, and of Debian packages.

    Args:
        folder: Holds a clone (with or without a work tree) as ``owner+name``, and what is in a package as
            ``debian:name_version``; those that lack are fetched into it.
        address: Of a repository, with a place for ``owner/name``.
    """

    def __init__(self, folder: Path, address: str = ADDRESS) -> None:
        self._folder = folder
        self._address = address
        self._there: set[tuple[str, str]] = set()
        self.audio = lru_cache(RECORDINGS)(self._audio)

    def _audio(self, repository: str, commit: str, path: str) -> Audio:
        """The sound of a file; ``audio`` keeps those read last.

        Returns:
            float32 [samples] at ``SAMPLE_RATE``; channels are mixed, at most ``LONGEST_S`` are read.

        Raises:
            subprocess.CalledProcessError: There is no such repository, commit, package or file.
        """
        return decoded(self.read(repository, commit, path))

    def read(self, repository: str, commit: str, path: str) -> bytes:
        """The content of a file.

        Raises:
            subprocess.CalledProcessError: There is no such repository, commit, package or file.
        """
        if repository.startswith(DEBIAN):
            return self._packaged(repository.removeprefix(DEBIAN), commit, path)
        clone = self._folder / repository.replace("/", "+")
        if (repository, commit) not in self._there:
            self._bring(clone, repository, commit)
            self._there.add((repository, commit))
        return _run("git", "-C", str(clone), "cat-file", "blob", f"{commit}:{path}")

    def _bring(self, clone: Path, repository: str, commit: str) -> None:
        if not clone.exists():
            clone.mkdir(parents=True)
            _run("git", "-C", str(clone), "init", "-q", "--bare")
        try:
            _run("git", "-C", str(clone), "cat-file", "-e", f"{commit}^{{commit}}")
        except subprocess.CalledProcessError:
            _run("git", "-C", str(clone), "fetch", "-q", "--depth", "1", self._address.format(repository), commit)

    def _packaged(self, name: str, version: str, path: str) -> bytes:
        unpacked = self._folder / f"{DEBIAN}{name}_{version}"
        if not unpacked.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as place:  # a failure leaves nothing
                _run("apt-get", "download", "-q", f"{name}={version}", folder=Path(place))
                (package,) = Path(place).glob("*.deb")
                _run("dpkg-deb", "-x", str(package), str(Path(place) / "files"))
                (Path(place) / "files").rename(unpacked)
        return (unpacked / path).read_bytes()


def _run(*command: str, folder: Path | None = None) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, cwd=folder).stdout  # noqa: S603 - no shell


def decoded(data: bytes) -> Audio:
    """The sound of a media file: float32 [samples] at ``SAMPLE_RATE``, mono."""
    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    pieces: list[Audio] = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(audio=0):
            pieces += [out.to_ndarray()[0] for out in resampler.resample(frame)]
            if frame.time is not None and frame.time > LONGEST_S:
                break
    pieces += [out.to_ndarray()[0] for out in resampler.resample(None)]
    return np.concatenate(pieces).astype(np.float32, copy=False)
