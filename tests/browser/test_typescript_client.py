"""The generated TypeScript client in a browser, from a page of another origin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.http_site import ok
from tests.support.served import KEY, ROOT, Bundle
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.served]

DIST = ROOT / "clients" / "typescript" / "dist"
SCRIPT = """
async ([module, baseUrl, key, example]) => {
  const { detectGender, voiceDetection } = await import(`${module}/generated/index.js`);
  const { createClient } = await import(`${module}/generated/client/index.js`);
  const client = createClient({ baseUrl });
  const audio = await (await fetch(`${baseUrl}/examples/voice.flac`)).blob();
  const gender = await detectGender({ client, body: { audio } });
  const detection = await voiceDetection({ client, auth: key, body: example });
  return [gender.data[0].label, detection.data.classification];
}
"""


def test_it_asks_in_a_browser(chromium: Browser, bundle: Bundle, site: LocalSite, made_clients: None) -> None:
    for file in DIST.rglob("*.js"):
        site.add(f"/dist/{file.relative_to(DIST).as_posix()}", ok(file.read_bytes(), "Content-Type: text/javascript"))
    page = chromium.new_context().new_page()
    page.goto(site.add("/typescript", ok(b"<!doctype html>", "Content-Type: text/html")))
    with bundle.client() as client:
        document = client.get("/docs.json").json()
    example = document["paths"]["/api/voice-detection"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert page.evaluate(SCRIPT, [site.site.url("/dist"), bundle.url, KEY, example]) == ["male", "HUMAN"]
    page.context.close()
