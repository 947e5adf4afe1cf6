"""``tests.support.http_site`` for tests that are not asynchronous: the same server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.support.http_site import Handler, Site, ok, serve


class LocalSite:
    """A running server whose pages a test may add to.

    Attributes:
        site: The server.
    """

    def __init__(self, pages: dict[str, Handler | bytes], site: Site, name: str) -> None:
        self._pages = pages
        self._name = name
        self.site = site

    def add(self, path: str, page: Handler | bytes) -> str:
        """Serves a raw answer at a path, and gives its URL."""
        self._pages[path] = page
        return self.site.url(path, self._name)

    def add_file(self, path: str, data: bytes) -> str:
        """Serves a file at a path, and gives its URL."""
        return self.add(path, ok(data))

    def hits(self, path: str) -> int:
        """How often a path was asked for, whatever its query."""
        return sum(asked.split("?")[0] == path for asked in self.site.paths)


@contextlib.contextmanager
def local_site(address: str = "127.0.0.1", name: str = "127.0.0.1") -> Iterator[LocalSite]:
    """Serves as long as the context lasts.

    Args:
        address: Where it listens.
        name: What its clients call it.
    """
    pages: dict[str, Handler | bytes] = {}
    started: list[Site] = []
    running = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def run() -> None:
        async with serve(pages, host=address) as site:
            started.append(site)
            running.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert running.wait(10)
    try:
        yield LocalSite(pages, started[0], name)
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
