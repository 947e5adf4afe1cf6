"""Redirects of downloads, against real local servers: each is checked as the first address is."""

from __future__ import annotations

import pytest

from core.errors import BadRequest, UpstreamError
from tests.support.fetching import METADATA, get, names
from tests.support.http_site import ok, redirect, reply, serve

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    async with serve({"/a": redirect("b?x=1", status), "/b": ok(b"there")}) as site:
        assert await get(site.url("/a")) == b"there"
    assert site.paths == ["/a", "/b?x=1"]


@pytest.mark.parametrize(
    "target",
    [
        METADATA,
        "http://10.0.0.1/",
        "http://[::1]:{port}/secret",
        "http://localhost:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "//trap.example:{port}/secret",
        "http://user:pw@public.example:{port}/secret",
        "file:///etc/passwd",
        "ftp://public.example/",
    ],
)
async def test_redirects_to_what_is_refused(target: str) -> None:
    handlers: dict[str, bytes] = {"/secret": ok(b"secret")}
    async with serve(handlers) as site:
        handlers["/a"] = redirect(target.format(port=site.port))
        found = names(public_example="127.0.0.1", localhost="127.0.0.1", trap_example=["127.0.0.1"])
        with pytest.raises(BadRequest):
            await get(site.url("/a", "public.example"), allow=("public.example",), resolver=found)
    assert site.paths == ["/a"]


async def test_redirect_count() -> None:
    chain: dict[str, bytes] = {f"/{i}": redirect(f"/{i + 1}") for i in range(4)} | {"/4": ok(b"end")}
    async with serve(chain) as site:
        assert await get(site.url("/1"), max_redirects=3) == b"end"
        with pytest.raises(UpstreamError, match="more than 3 times"):
            await get(site.url("/0"), max_redirects=3)
        with pytest.raises(UpstreamError):
            await get(site.url("/3"), max_redirects=0)


async def test_redirect_loop() -> None:
    async with serve({"/": redirect("/")}) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/"))
    assert len(site.requests) == 4


@pytest.mark.parametrize("answer", [reply(302), redirect("http://x:y/"), reply(304), reply(300)])
async def test_redirects_to_nowhere(answer: bytes) -> None:
    async with serve({"/": answer}) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/"))
