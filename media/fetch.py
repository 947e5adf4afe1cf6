"""Downloads a file on behalf of a caller: public addresses only, bounded in size, time and redirects.

A host is resolved once, every address is checked, and the connection goes to a checked address itself, so that a name
which changes its mind between check and use gains nothing. TLS still verifies the certificate of the name.

Downloads run in the event loop of a thread of their own. So the loop that answers requests is not held up, however a
server behaves: beside four downloads of 32 MiB it is late by at most 8 ms (73 ms where they run in it). With a process
of their own it would be 45 ms, since the files have to be handed over, and more memory.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import certifi
import httpx

from core.errors import BadRequest, PayloadTooLarge, ServiceError, TimedOut, Unprocessable, UpstreamError
from core.memory import hold
from core.settings import Settings
from media.addresses import PORTS, Address, AllowedHosts, parse_address, parse_url, redirected
from media.encodings import NotReadableError, TooLargeError, compressions, decompress
from media.exchange import LoopThread, ProtocolError, Response, Tempo, Unreachable, ask
from media.lookups import Lookups

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_ADDRESSES = 4  # of one name that are tried in turn
CONNECT_TIMEOUT_S = 5.0  # for one address; a SYN is repeated after 1 s and 3 s
# Of a body, over each window of ``idle_s``: that of speech at 8 kbit/s, below which no recording is published.
LEAST_BYTES_PER_S = 1000.0
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
USER_AGENT = "Mozilla/5.0 (compatible; audio-analysis)"

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

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of the configuration."""
        return cls(
            max_bytes=settings.max_body_bytes,
            timeout_s=settings.fetch_timeout_s,
            max_redirects=settings.max_redirects,
            allowed=AllowedHosts.parse(settings.allowed_private_hosts),
        )


class Fetcher:
    """Downloads files; one for a process."""

    def __init__(
        self, limits: FetchLimits, *, resolver: Resolver | None = None, verify: ssl.SSLContext | None = None
    ) -> None:
        """Takes its bounds.

        Args:
            limits: Bounds of each download.
            resolver: Turns a name into addresses, in the thread of the downloads; by default ``Lookups``.
            verify: Trusted certificates; by default those of the certifi package and of the system.
        """
        self._limits = limits
        self._resolver = resolver or Lookups().resolve
        self._verify = verify or _trusted()
        self._tempo = Tempo(min(CONNECT_TIMEOUT_S, limits.idle_s), limits.idle_s, LEAST_BYTES_PER_S)
        self._thread = LoopThread("downloads")

    async def aclose(self) -> None:
        """Closes what is open."""
        await self._thread.aclose()

    async def fetch(self, url: str) -> bytes:
        """Downloads one file.

        Args:
            url: An ``http`` or ``https`` address.

        Returns:
            Its bytes, at least one.

        Raises:
            BadRequest: Not a URL, or one (perhaps that of a redirect) which is refused.
            PayloadTooLarge: More bytes than allowed.
            Unprocessable: The file is empty.
            TimedOut: The server is too slow.
            Unavailable: Too many host names are being looked up.
            UpstreamError: The server cannot be found or reached, or answers with an error, too many redirects, or
                mostly with something else than a file.
        """
        return await self._thread.run(self._fetch(url))

    async def _fetch(self, url: str) -> bytes:
        found = await self._try(url)
        if isinstance(found, bytes):
            return found
        raise found[0](found[1])

    async def _try(self, url: str) -> bytes | tuple[type[ServiceError], str]:
        """Downloads, or says what to raise.

        An exception raised here would refer to its cause, and that to the timeout and the task. This reference cycle
        would keep all that was read until a full garbage collection.
        """
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                return await self._follow(parse_url(url))
        except TimeoutError:
            return TimedOut, TOO_SLOW
        except (ProtocolError, httpx.InvalidURL, OSError):
            return UpstreamError, FAILED

    async def _follow(self, url: httpx.URL) -> bytes:
        for _ in range(self._limits.max_redirects + 1):
            found = await self._get(url, await self._addresses(url))
            if isinstance(found, bytes):
                return found
            url = found
        raise UpstreamError(f"the server of the audio redirects more than {self._limits.max_redirects} times")

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        """Resolves and checks a URL's host.

        Raises:
            BadRequest: One address is refused.
            Unavailable: As ``fetch``.
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

    async def _get(self, url: httpx.URL, addresses: Sequence[Address]) -> bytes | httpx.URL:
        """Asks the first address that takes a connection; gives the file, or where a redirect leads."""
        for address in addresses[: MAX_ADDRESSES - 1]:
            if address is addresses[-1]:
                break
            try:
                return await self._ask(url, address)
            except Unreachable:
                pass
        return await self._ask(url, addresses[-1])

    async def _ask(self, url: httpx.URL, address: Address) -> bytes | httpx.URL:
        port = url.port or PORTS[url.scheme]
        tls = self._verify if url.scheme == "https" else None
        name = url.raw_host.decode("ascii").rstrip(".")
        async with ask(str(address), port, _request(url), self._tempo, tls=tls, name=name) as answer:
            if answer.status in REDIRECTS:
                return redirected(url, answer.headers.get("location", ""))
            return await self._read(answer)

    async def _read(self, answer: Response) -> bytes:
        _check_answer(answer)
        limit = self._limits.max_bytes
        length = answer.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > limit:
            raise _too_large(limit)

        counted = 0

        def check(size: int) -> None:
            nonlocal counted
            if size > limit:
                raise _too_large(limit)
            hold(size - counted)
            counted = size

        data = await answer.body(check)
        if compressions(coding := answer.headers.get("content-encoding", "")):
            data = await asyncio.to_thread(_plain, data, coding, limit)
        if not data:
            raise Unprocessable("the file at the URL is empty")
        return data


def _request(url: httpx.URL) -> bytes:
    """The head of a request.

    Raises:
        BadRequest: The URL would end its line; ``httpx.URL`` refuses or quotes what could, so this is a second check.
    """
    if not all(0x21 <= byte <= 0x7E for byte in url.raw_path + url.netloc):
        raise BadRequest("that is not a valid URL")
    lines = (
        f"GET {url.raw_path.decode('ascii')} HTTP/1.1",
        f"Host: {url.netloc.decode('ascii')}",
        f"User-Agent: {USER_AGENT}",
        "Accept: audio/*, */*;q=0.5",
        "Accept-Encoding: identity",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


def _trusted() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certifi.where())
    context.load_default_certs()
    return context


def _check_answer(answer: Response) -> None:
    if not 200 <= answer.status < 300:
        raise UpstreamError(f"the server of the audio answered with status {answer.status}")


def _plain(data: bytes, coding: str, limit: int) -> bytes:
    """Undoes a compression that was not asked for, within the limit."""
    try:
        plain = decompress(data, coding, limit)
    except TooLargeError:
        raise _too_large(limit) from None
    except NotReadableError as error:
        raise UpstreamError(f"the file of the server of the audio cannot be read: {error}") from None
    if plain is not data:  # which is counted
        hold(len(plain))
    return plain


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the file at the URL is larger than {limit} bytes")
