"""Which internet addresses may be reached on behalf of a caller, who must not reach into the operator's network."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from core.errors import BadRequest

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
