"""Downloads over TLS: the certificate is for the name, the connection goes to the address."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from core.errors import BadRequest, UpstreamError
from tests.support.fetching import fetcher, get, names
from tests.support.http_site import ok, redirect, serve
from tests.support.programs import program

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for ``media.example`` with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "media.pem"
    subject = ["-subj", "/CN=media.example", "-addext", "subjectAltName=DNS:media.example"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command = [program("openssl"), "req", "-x509", *curve, *subject, "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def client_side(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=f"{certificate}.crt")


EVERYWHERE = names(media_example="127.0.0.1", other_example="127.0.0.1")


async def test_tls_is_verified_for_the_name(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async with serve({"/": ok(b"safe")}, tls=server_side) as site:
        url = site.url("/", "media.example", "https")
        assert await get(url, verify=client_side, resolver=EVERYWHERE) == b"safe"
        assert f"Host: media.example:{site.port}" in site.requests[0]


async def test_certificate_of_another_name(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async with (
        serve({"/": ok(b"safe")}, tls=server_side) as site,
        fetcher(verify=client_side, resolver=EVERYWHERE) as one,
    ):
        await one.fetch(site.url("/", "media.example", "https"))  # a kept connection must not serve the other name
        for host in ("other.example", "127.0.0.1"):
            with pytest.raises(UpstreamError):
                await one.fetch(site.url("/", host, "https"))
    assert len(site.requests) == 1


async def test_unknown_certificate(server_side: ssl.SSLContext) -> None:
    async with serve({"/": ok(b"safe")}, tls=server_side) as site:
        with pytest.raises(UpstreamError):
            await get(site.url("/", "media.example", "https"), resolver=EVERYWHERE)


async def test_redirect_from_https_to_http(server_side: ssl.SSLContext, client_side: ssl.SSLContext) -> None:
    async with serve({"/": ok(b"open")}) as plain, serve({"/": redirect(plain.url("/"))}, tls=server_side) as site:
        with pytest.raises(BadRequest, match="https to http"):
            await get(site.url("/", "media.example", "https"), verify=client_side, resolver=EVERYWHERE)
    assert plain.requests == []
