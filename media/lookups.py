"""Looks up host names by the system's resolver, such that slow name servers hold up few other names."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from weakref import WeakValueDictionary

from core.errors import Unavailable

AT_ONCE = 64  # lookups of a process
# Of names with the same last two labels, whose name servers are mostly one owner's.
AT_ONCE_OF_A_DOMAIN = 16
LINE_S = 3.0  # longest wait until a lookup begins
RETRY_AFTER_S = 5.0  # the usual time limit of a resolver for one try
BUSY = "the server has too many host names to look up, try again later"

_THREADS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="dns")  # its own: a stuck name server holds up no other work


class Lookups:
    """Looks names up; one for an event loop.

    A lookup cannot be cancelled: it keeps its thread until the resolver answers, even where no caller waits for it.
    """

    def __init__(self) -> None:
        """Begins with none under way."""
        self._all = asyncio.Semaphore(AT_ONCE)
        self._of: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, host: str, port: int) -> list[str]:
        """Looks up one name.

        Args:
            host: Name in ASCII.
            port: Port that is to be reached.

        Returns:
            Addresses, best first.

        Raises:
            OSError: The name is unknown, or no resolver answers.
            Unavailable: Too many lookups are under way.
        """
        domain = ".".join(host.rstrip(".").split(".")[-2:])
        of_domain = self._of.setdefault(domain, asyncio.Semaphore(AT_ONCE_OF_A_DOMAIN))
        with contextlib.ExitStack() as places:
            try:
                async with asyncio.timeout(LINE_S):
                    for line in (of_domain, self._all):
                        await line.acquire()
                        places.callback(line.release)
            except TimeoutError:
                raise Unavailable(BUSY, retry_after=RETRY_AFTER_S) from None
            ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
            asking = asyncio.get_running_loop().run_in_executor(_THREADS, ask)
            kept = places.pop_all()
            asking.add_done_callback(lambda _: kept.close())
        found = await asyncio.shield(asking)
        return list(dict.fromkeys(str(item[4][0]) for item in found))
