"""Which URLs and internet addresses may be reached on behalf of a caller, who must not reach the operator's network."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import httpx

from core.errors import BadRequest, ServiceError, UpstreamError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_NAME_LENGTH = 253  # characters, RFC 1035
REFUSED = "the URL's host is not a public address"

_GLOBAL_UNICAST_V6 = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out for the internet
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are the IPv4 address that is reached

_SPECIAL: tuple[Network, ...] = (  # what `is_global` of Python 3.11 lets through, or does not know yet
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays
    ipaddress.IPv6Network("2001::/23"),  # Teredo, ORCHID, benchmarks
    ipaddress.IPv6Network("2002::/16"),  # 6to4: leads to any IPv4 address
    ipaddress.IPv6Network("3fff::/20"),  # documentation
)

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_NUMERIC_END = re.compile(r"(^|\.)(0x[0-9a-f]*|[0-9]+)\.?$")


def parse_address(host: str) -> Address | None:
    """Reads a host as an address in its one usual notation.

    Args:
        host: Lower-case ASCII host of a URL, IPv6 without its brackets.

    Returns:
        The address, or None for a name.

    Raises:
        BadRequest: Neither: decimal, octal, hexadecimal or short IPv4, scope ids, or characters that no name has.
    """
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        if "%" not in host:
            return address
    if _NUMERIC_END.search(host) or len(host) > MAX_NAME_LENGTH or not _NAME.fullmatch(host):
        raise BadRequest("the URL's host is neither a name nor an address in the usual notation")
    return None


def plain(address: Address) -> Address:
    """Gives the IPv4 address that an IPv4-mapped or NAT64 address stands for, other addresses as they are."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def is_public(address: Address) -> bool:
    """Says whether an address is one of the public internet, whatever way it is written or tunnelled."""
    real = plain(address)
    if isinstance(real, ipaddress.IPv6Address) and (real not in _GLOBAL_UNICAST_V6 or real.scope_id is not None):
        return False
    return real.is_global and not real.is_multicast and not any(real in network for network in _SPECIAL)


@dataclass(frozen=True, slots=True)
class AllowedHosts:
    """What the operator lets through beside public addresses.

    Attributes:
        names: Lower-case host names, whatever they resolve to.
        networks: Networks, a single address being a network of one.
    """

    names: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Reads names, addresses and networks, in any mix.

        Raises:
            ValueError: An entry is none of these.
        """
        names, networks = set(), []
        for entry in (entry.strip().lower().rstrip(".") for entry in entries):
            try:
                networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                if not _NAME.fullmatch(entry) or _NUMERIC_END.search(entry):
                    raise ValueError(f"{entry!r} is not a host name, an address or a network") from None
                names.add(entry)
        return cls(frozenset(names), tuple(networks))

    def check(self, host: str, addresses: Iterable[Address]) -> None:
        """Checks every address that a host stands for.

        Raises:
            BadRequest: One of them is not public, and not allowed either.
        """
        if host.rstrip(".") in self.names:
            return
        for address in addresses:
            real = plain(address)
            if not (is_public(address) or any(real in network for network in self.networks)):
                raise BadRequest(REFUSED)


MAX_URL_LENGTH = 8192  # characters; signed URLs of the large clouds have up to about 2000
PORTS: Final = {"http": 80, "https": 443}


def describe_url(url: str) -> str:
    """Gives what a log may say of a URL: scheme, host and port; paths and queries may hold keys."""
    with contextlib.suppress(httpx.InvalidURL, ValueError):
        parsed = httpx.URL(url)
        return f"{parsed.scheme}://{parsed.netloc.decode('ascii', 'replace')}"
    return "(not a URL)"


def parse_url(text: str) -> httpx.URL:
    """Reads a URL and refuses what is never fetched, whatever its host.

    Raises:
        BadRequest: It is not a URL, or one that is refused.
    """
    if len(text) > MAX_URL_LENGTH:
        raise BadRequest(f"the URL is longer than {MAX_URL_LENGTH} characters")
    try:
        return _check(httpx.URL(text.strip()))
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise BadRequest("that is not a valid URL") from None


def _check(url: httpx.URL) -> httpx.URL:
    if url.scheme not in PORTS:
        raise BadRequest("only http and https URLs are fetched")
    if not url.raw_host:
        raise BadRequest("the URL has no host")
    if url.userinfo:
        raise BadRequest("a URL with a user name or password is not fetched")
    if url.port is not None and not 1 <= url.port <= 65535:
        raise BadRequest("the URL's port is not between 1 and 65535")
    return url


def redirected(url: httpx.URL, location: str) -> httpx.URL:
    """Finds where a redirect leads.

    Args:
        url: What was asked for.
        location: The header of that name, empty where there is none.

    Raises:
        BadRequest: To a URL that is refused, or from https to http.
        UpstreamError: Nowhere.
    """
    if not location or len(location) > MAX_URL_LENGTH:
        raise UpstreamError("the server of the audio redirects to nowhere")
    try:
        target = _check(url.join(location))
    except ServiceError:
        raise
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise UpstreamError("the server of the audio redirects to something that is not a URL") from None
    if url.scheme == "https" and target.scheme == "http":
        raise BadRequest("a redirect from https to http is not followed")
    return target
