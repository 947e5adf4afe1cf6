"""Downloads that go on where they stopped: ``Downloader(mirror).fetch(address, path)``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from tqdm import tqdm

TRIES = 4
PAUSE_S = 1.0  # before the second try; doubled before each further one
TIMEOUT_S = 60.0


class MissingFileError(LookupError):
    """The server answers, and does not have the file."""


class Downloader:
    """Fetches files one by one over kept connections.

    Args:
        mirror: Address in place of ``https://host``, of a server with the same paths.
        pause_s: Before the second try.
        headers: Sent with every request; a key among them stays with the host that was asked first.
        progress: Show a bar for each file.
    """

    def __init__(
        self,
        mirror: str | None = None,
        pause_s: float = PAUSE_S,
        headers: Mapping[str, str] | None = None,
        *,
        progress: bool = False,
    ) -> None:
        self._mirror = mirror
        self._pause_s = pause_s
        self._progress = progress
        # Uncompressed, so that a place in what was received is the same place in the file.
        sent = {**(headers or {}), "accept-encoding": "identity"}
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=True, headers=sent)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        self._client.close()

    def fetch(self, address: str, path: Path) -> bool:
        """Fetches a file unless it is there; a part of it that is there is kept, and only the rest asked for.

        Returns:
            Whether anything was fetched.

        Raises:
            MissingFileError: The server does not have it.
            httpx.HTTPError: The server cannot be reached or fails, after ``TRIES`` tries.
        """
        if path.exists():
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        for attempt in range(TRIES):
            try:
                self._continue(self._located(address), part)
            except (httpx.TransportError, httpx.HTTPStatusError):
                if attempt == TRIES - 1:
                    raise
                time.sleep(self._pause_s * 2**attempt)
            else:
                break
        part.replace(path)
        return True

    def _located(self, address: str) -> str:
        if self._mirror is None:
            return address
        return self._mirror.rstrip("/") + "/" + address.split("/", 3)[3]

    def _continue(self, address: str, part: Path) -> None:
        """Asks for what is missing; an answer that ends early is an error, and what came of it is kept."""
        have = part.stat().st_size if part.exists() else 0
        with self._client.stream("GET", address, headers={"range": f"bytes={have}-"} if have else {}) as response:
            if response.status_code in (404, 410):
                raise MissingFileError(address)
            if response.status_code == 416:  # the part is not the beginning of this file, or the whole of it
                part.unlink()
                raise httpx.ReadError(f"{address}: another file than before")
            response.raise_for_status()
            self._write(response, part, have if response.status_code == 206 else 0)

    def _write(self, response: httpx.Response, part: Path, have: int) -> None:
        """Adds an answer to the bytes that are kept, or begins anew where none are."""
        rest = response.headers.get("content-length")
        total = have + int(rest) if rest else None
        bar = tqdm(desc=part.stem, total=total, initial=have, unit="B", unit_scale=True, disable=not self._progress)
        with part.open("ab" if have else "wb") as file, bar:
            for piece in response.iter_bytes():
                file.write(piece)
                bar.update(len(piece))
