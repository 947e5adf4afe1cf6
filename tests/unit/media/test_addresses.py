"""Which addresses count as public, in which notations, and what an operator may add."""

from __future__ import annotations

import ipaddress

import pytest

from core.errors import BadRequest
from media.addresses import AllowedHosts, is_public, parse_address

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.216.34",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(BadRequest, match="not a public address"):
        AllowedHosts().check("host.example", [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address(address)])


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    AllowedHosts().check("host.example", [ipaddress.ip_address(address)])


def test_scoped_address_is_not_public() -> None:
    assert not is_public(ipaddress.ip_address("2606:4700::1%eth0"))


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.1.",
        "010.0.0.1",
        "0",
        "1.2.3.4.5",
        "256.256.256.256",
        "example.0x1",
        "fe80::1%eth0",
        "fe80::1%25eth0",
        "1::2::3",
        "exa%20mple",
        "*",
        "a..b",
        "-a.b",
        "a-.b",
        ".a",
        "",
        "a b",
        "ä",
        "a" * 254,
    ],
)
def test_unusual_notations(host: str) -> None:
    with pytest.raises(BadRequest, match="usual notation"):
        parse_address(host)


@pytest.mark.parametrize(
    "host", ["localhost", "localhost.", "example.com", "xn--bcher-kva.de", "a_b.c-d.example", "1a.example"]
)
def test_names(host: str) -> None:
    assert parse_address(host) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "8.8.8.8"])
def test_addresses(host: str) -> None:
    assert parse_address(host) == ipaddress.ip_address(host)


@pytest.mark.parametrize(
    ("entry", "host", "address"),
    [
        ("media.internal", "media.internal", "10.1.2.3"),
        ("Media.Internal.", "media.internal.", "10.1.2.3"),
        ("10.1.2.3", "media.internal", "10.1.2.3"),
        ("10.0.0.0/8", "media.internal", "10.1.2.3"),
        ("10.1.2.3/8", "media.internal", "10.9.9.9"),
        ("10.0.0.0/8", "media.internal", "::ffff:10.1.2.3"),
        ("fd00::/8", "media.internal", "fd00::7"),
        ("[::1]", "::1", "::1"),
    ],
)
def test_operator_allows(entry: str, host: str, address: str) -> None:
    AllowedHosts.parse([entry]).check(host, [ipaddress.ip_address(address)])


@pytest.mark.parametrize(
    ("entry", "host", "address"),
    [
        ("media.internal", "other.internal", "10.1.2.3"),
        ("media.internal", "sub.media.internal", "10.1.2.3"),
        ("10.0.0.0/8", "media.internal", "127.0.0.1"),
        ("127.0.0.1", "localhost", "::1"),
    ],
)
def test_operator_allows_nothing_else(entry: str, host: str, address: str) -> None:
    with pytest.raises(BadRequest):
        AllowedHosts.parse([entry]).check(host, [ipaddress.ip_address(address)])


@pytest.mark.parametrize("entry", ["", "http://host", "10.0.0.0/99", "a b", "host:80", "127.1", "*.internal"])
def test_entries_that_are_nothing(entry: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        AllowedHosts.parse([entry])
