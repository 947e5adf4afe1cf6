"""Downloads a file on behalf of a caller: public addresses only, bounded in size, time and redirects.

A host is resolved once, every address is checked, and the connection goes to a checked address itself, so that a name
which changes its mind between check and use gains nothing. TLS still verifies the certificate of the name.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import certifi
import httpx

from core.errors import PayloadTooLarge, TimedOut, Unprocessable, UpstreamError
from media.addresses import Address, AllowedHosts, parse_address
from media.urls import PORTS, parse_url, redirected

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_ADDRESSES = 4  # of one name that are tried in turn
CONNECT_TIMEOUT_S = 5.0  # for one address; a SYN is repeated after 1 s and 3 s
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "Mozilla/5.0 (compatible; audio-analysis)"

_DNS_THREADS = ThreadPoolExecutor(16, thread_name_prefix="dns")  # its own: a stuck name server holds up no other work

TOO_SLOW = "the server of the audio took too long to answer"
FAILED = "the server of the audio could not be reached or broke off"


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Bounds of one download.

    Attributes:
        max_bytes: Largest body.
        timeout_s: Longest time for all of it, redirects included (seconds).
        idle_s: Longest time without a byte (seconds).
        max_redirects: Most redirects that are followed.
        allowed: Hosts that may be reached though they are not public.
    """

    max_bytes: int
    timeout_s: float = 20.0
    idle_s: float = 10.0
    max_redirects: int = 5
    allowed: AllowedHosts = field(default_factory=AllowedHosts)


@dataclass(frozen=True, slots=True)
class Download:
    """A downloaded file.

    Attributes:
        data: Its bytes; at least one.
        content_type: What its server calls it, lower case and without parameters; empty when it does not say.
    """

    data: bytes
    content_type: str


async def resolve(host: str, port: int) -> list[str]:
    """Asks the system's resolver.

    Args:
        host: Name in ASCII.
        port: Port that is to be reached.

    Returns:
        Addresses, best first.

    Raises:
        OSError: The name is unknown, or no resolver answers.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_DNS_THREADS, ask)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


class Fetcher:
    """Downloads files; one for a process, used from one event loop."""

    def __init__(
        self, limits: FetchLimits, *, resolver: Resolver = resolve, verify: ssl.SSLContext | None = None
    ) -> None:
        """Takes its bounds.

        Args:
            limits: Bounds of each download.
            resolver: Turns a name into addresses.
            verify: Trusted certificates; by default those of the certifi package and of the system.
        """
        self._limits = limits
        self._resolver = resolver
        # A kept connection was verified for one name and is keyed by its address: it must not serve another name.
        self._transport = httpx.AsyncHTTPTransport(
            verify=verify or _trusted(), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def aclose(self) -> None:
        """Closes what is open."""
        await self._transport.aclose()

    async def fetch(self, url: str) -> Download:
        """Downloads one file.

        Args:
            url: An ``http`` or ``https`` address.

        Returns:
            The file.

        Raises:
            BadRequest: Not a URL, or one (perhaps that of a redirect) which is refused.
            PayloadTooLarge: More bytes than allowed.
            Unprocessable: The file is empty.
            TimedOut: The server is too slow.
            UpstreamError: The server cannot be found or reached, or answers with an error or too many redirects.
        """
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._follow(parse_url(url))
        except (TimeoutError, httpx.TimeoutException):
            raise TimedOut(TOO_SLOW) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError):
            raise UpstreamError(FAILED) from None

    async def _follow(self, url: httpx.URL) -> Download:
        for _ in range(self._limits.max_redirects + 1):
            async with self._get(url) as response:
                if response.status_code not in REDIRECTS:
                    return await self._read(response)
                url = redirected(url, response.headers.get("location", ""))
        raise UpstreamError(f"the server of the audio redirects more than {self._limits.max_redirects} times")

    @contextlib.asynccontextmanager
    async def _get(self, url: httpx.URL) -> AsyncIterator[httpx.Response]:
        response = await self._connect(url, await self._addresses(url))
        try:
            yield response
        finally:
            await response.aclose()

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """Resolves and checks a URL's host.

        Raises:
            BadRequest: One address is refused.
            UpstreamError: The name is unknown.
        """
        host = url.raw_host.decode("ascii")
        literal = parse_address(host)
        if literal is not None:
            addresses = [literal]
        else:
            try:
                found = await self._resolver(host, url.port or PORTS[url.scheme])
                addresses = [ipaddress.ip_address(address) for address in found]
            except (OSError, UnicodeError, ValueError):
                addresses = []
        if not addresses:
            raise UpstreamError("the URL's host name could not be resolved")
        self._limits.allowed.check(host, addresses)
        return addresses

    async def _connect(self, url: httpx.URL, addresses: Sequence[Address]) -> httpx.Response:
        """Sends the request to the first address that takes it."""
        for address in addresses[: MAX_ADDRESSES - 1]:
            if address is addresses[-1]:
                break
            with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._transport.handle_async_request(self._request(url, address))
        return await self._transport.handle_async_request(self._request(url, addresses[-1]))

    def _request(self, url: httpx.URL, address: Address) -> httpx.Request:
        host = url.raw_host.decode("ascii").rstrip(".")
        idle = self._limits.idle_s
        timeout = httpx.Timeout(idle, connect=min(CONNECT_TIMEOUT_S, idle))
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": USER_AGENT,
            "Accept": "audio/*, */*;q=0.5",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        pinned = url.copy_with(host=str(address), fragment=None)
        extensions = {"sni_hostname": host, "timeout": timeout.as_dict()}
        return httpx.Request("GET", pinned, headers=headers, extensions=extensions)

    async def _read(self, response: httpx.Response) -> Download:
        _check_answer(response)
        limit = self._limits.max_bytes
        length = response.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit:
            raise _too_large(limit)
        data = bytearray()
        async for chunk in response.aiter_raw():
            data += chunk
            if len(data) > limit:
                raise _too_large(limit)
        if not data:
            raise Unprocessable("the file at the URL is empty")
        return Download(bytes(data), response.headers.get("content-type", "").split(";")[0].strip().lower())


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def _check_answer(response: httpx.Response) -> None:
    if not 200 <= response.status_code < 300:
        raise UpstreamError(f"the server of the audio answered with status {response.status_code}")
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UpstreamError("the server of the audio sent it compressed, which was not asked for")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the file at the URL is larger than {limit} bytes")
