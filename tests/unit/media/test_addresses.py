"""Which addresses count as public, in which notations, and what an operator may add."""

from __future__ import annotations

import ipaddress

import httpx
import pytest

from core.errors import BadRequest, UpstreamError
from media.addresses import (
    MAX_URL_LENGTH,
    AllowedHosts,
    describe_url,
    is_public,
    parse_address,
    parse_url,
    redirected,
)

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
    "host", ["localhost", "localhost.", "example.com", "a" * 253, "xn--bcher-kva.de", "a_b.c-d.example", "1a.example"]
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
        ("media.internal", "media.internalx", "10.1.2.3"),
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


def url_of(length: int) -> str:
    start = "https://host.example/"
    return start + "a" * (length - len(start))


@pytest.mark.parametrize(
    "text",
    [
        "http://host.example",
        " https://host.example/a?b#c ",
        "HTTP://host.example:1/",
        "https://host.example:65535/",
        "http://[2001:db8::1]/",
        url_of(MAX_URL_LENGTH),
    ],
)
def test_a_url_that_may_be_fetched(text: str) -> None:
    assert str(parse_url(text)) == str(httpx.URL(text.strip()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ftp://host.example/", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("host.example", "only http and https"),
        ("", "only http and https"),
        ("http://", "no host"),
        ("https:///path", "no host"),
        ("http://user@host.example/", "user name or password"),
        ("http://:secret@host.example/", "user name or password"),
        ("http://host.example:0/", "between 1 and 65535"),
        ("http://host.example:65536/", "between 1 and 65535"),
        ("http://host.example:port/", "not a valid URL"),
        (url_of(MAX_URL_LENGTH + 1), f"longer than {MAX_URL_LENGTH}"),
    ],
)
def test_a_url_that_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        parse_url(text)


@pytest.mark.parametrize(
    ("start", "location", "target"),
    [
        ("http://a.example/x/y", "z", "http://a.example/x/z"),
        ("http://a.example/x", "https://b.example/", "https://b.example/"),
        ("http://a.example/x", "http://b.example/", "http://b.example/"),
        ("https://a.example/x", "https://b.example/", "https://b.example/"),
        ("https://a.example/x", "//b.example/y", "https://b.example/y"),
        ("https://a.example/x", url_of(MAX_URL_LENGTH), url_of(MAX_URL_LENGTH)),
    ],
)
def test_where_a_redirect_leads(start: str, location: str, target: str) -> None:
    assert str(redirected(httpx.URL(start), location)) == target


@pytest.mark.parametrize(
    ("location", "kind", "words"),
    [
        ("", UpstreamError, "to nowhere"),
        (url_of(MAX_URL_LENGTH + 1), UpstreamError, "to nowhere"),
        ("//b.example:port/", UpstreamError, "something that is not a URL"),
        ("http://b.example/", BadRequest, "from https to http"),
        ("ftp://b.example/", BadRequest, "only http and https"),
        ("https://user@b.example/", BadRequest, "user name"),
    ],
)
def test_a_redirect_that_is_not_followed(location: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        redirected(httpx.URL("https://a.example/"), location)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://host.example/path?key=secret", "https://host.example"),
        ("http://user:secret@host.example:8080/", "http://host.example:8080"),
        ("http://host.example:port/secret", "(not a URL)"),
    ],
)
def test_a_log_names_no_more_than_the_server(text: str, said: str) -> None:
    assert describe_url(text) == said
