"""Downloads as the tests ask for them, and name servers that know a few names."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence

from media.addresses import AllowedHosts
from media.fetch import Fetcher, FetchLimits, Resolver

LOCAL = ("127.0.0.1",)
METADATA = "http://169.254.169.254/latest/meta-data/"


def names(**table: Sequence[str] | str) -> Resolver:
    """A resolver that knows some names only; ``_`` stands for a dot."""

    async def find(host: str, port: int) -> Sequence[str]:
        found = table.get(host.rstrip(".").replace(".", "_").replace("-", "_"))
        if found is None:
            raise OSError("no such host")
        return [found] if isinstance(found, str) else found

    return find


@contextlib.asynccontextmanager
async def fetcher(
    allow: Sequence[str] = LOCAL,
    *,
    resolver: Resolver | None = None,
    verify: ssl.SSLContext | None = None,
    max_bytes: int = 100_000,
    timeout_s: float = 20.0,
    idle_s: float = 10.0,
    max_redirects: int = 3,
) -> AsyncIterator[Fetcher]:
    limits = FetchLimits(max_bytes, timeout_s, idle_s, max_redirects, AllowedHosts.parse(allow))
    one = Fetcher(limits, resolver=resolver, verify=verify)
    yield one
    await one.aclose()


async def get(url: str, **options: object) -> bytes:
    async with fetcher(**options) as one:  # type: ignore[arg-type]
        return await one.fetch(url)
