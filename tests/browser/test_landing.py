"""The landing page (docs/contract.md, Heart sound), and what holds for all pages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.testclient import TestClient

from api.app import build_app
from core.settings import get_settings
from tasks.questions import questions
from tests.browser.conftest import PHONE
from tests.support.served import DATA, KEY, Bundle
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.served]


def test_browser_gets_the_landing_page(page: Page) -> None:
    page.goto("/")
    assert page.get_by_role("heading", level=1).inner_text() == "Media classification bundle"
    assert page.get_by_role("heading", level=2).count() == len(questions())
    links = page.get_by_role("link").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert set(links) == {"/ui", "/docs", "/docs.json", "/metrics", "/readyz"}


def test_landing_page_names_documented_routes(page: Page, client: httpx.Client) -> None:
    paths = client.get("/docs.json").json()["paths"]
    page.goto("/")
    for route in page.locator(".route").all_inner_texts():
        method, path = route.split()
        assert method.lower() in (paths.get(path) or paths[f"{path.rpartition('/')[0]}/{{question}}"])


def test_curl_lines_of_the_landing_page_work(page: Page, bundle: Bundle, site: LocalSite, tmp_path: Path) -> None:
    for name in ("voice.wav", "recording.wav"):
        shutil.copy(DATA / "voices" / "male_1.flac", tmp_path / name)
    shutil.copy(DATA / "ai_voice" / "human_en.mp3", tmp_path / "voice.mp3")
    for name in ("face.jpg", "picture.jpg"):
        shutil.copy(DATA / "faces" / "female_1.jpg", tmp_path / name)
    shutil.copy(DATA / "hearts" / "normal_1.pcm", tmp_path / "heart.pcm")
    audio = site.add_file("/speech.flac", (DATA / "scenes" / "speech_1.flac").read_bytes())
    page.goto("/")
    page.get_by_text(bundle.url).first.wait_for()
    lines = page.locator("pre").all_inner_texts()
    assert len(lines) == len(questions())
    for line in lines:
        command = line.replace("YOUR_KEY", KEY).replace("https://example.org/clip.mp3", audio)
        shell = ["bash", "-c", f"{command} -sSf"]
        done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout


@pytest.mark.parametrize("path", ["/", "/ui", "/ui/cards/voice_gender", "/ui/page/playground.js"])
def test_pages_allow_nothing_from_elsewhere(client: httpx.Client, path: str) -> None:
    headers = client.get(path, headers={"accept": "text/html"}).headers
    assert headers["content-type"].endswith("; charset=utf-8")
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_only_parts_of_pages_are_served_and_counted_under_one_template(client: httpx.Client) -> None:
    assert client.get("/pages/landing.js").headers["content-type"].startswith("text/javascript")
    for folder in ("/pages", "/ui/page", "/ui/examples", "/ui/cards"):
        for name in (
            "__init__.py",
            "landing.html",
            "nothing-4711.js",
            "%2e%2e%2fapp.py",
            "..%2f..%2fapp.py",
            "card.html",
        ):
            assert client.get(f"{folder}/{name}").status_code == 404
    metrics = client.get("/metrics").text
    assert 'route="/pages/{name}"' in metrics
    assert 'route="/ui/page/{name}"' in metrics
    assert "nothing-4711" not in metrics
    paths = client.get("/docs.json").json()["paths"]
    assert not [path for path in paths if path.startswith(("/pages", "/ui/"))]


def test_phone_needs_no_sideways_scrolling(page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.goto("/")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.parametrize(("setting", "status"), [("true", 200), ("false", 404)])
def test_playground_is_off_by_one_setting(monkeypatch: pytest.MonkeyPatch, setting: str, status: int) -> None:
    monkeypatch.setenv("PLAYGROUND", setting)
    get_settings.cache_clear()
    try:
        with TestClient(build_app()) as client:
            for path in ("/ui", "/ui/page/playground.js", "/ui/examples/examples.json", "/ui/cards/voice_gender"):
                assert client.get(path).status_code == status
            assert (client.post("/ui/ask/voice-gender", content=b"x").status_code == 404) == (status == 404)
            assert ("/ui" in client.get("/docs.json").json()["paths"]) == (status == 200)
            assert ('href="/ui"' in client.get("/", headers={"accept": "text/html"}).text) == (status == 200)
    finally:
        get_settings.cache_clear()
