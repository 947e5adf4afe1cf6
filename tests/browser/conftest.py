"""A headless Chromium, and pages that report everything they should not do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.support.programs import missing, program
from tests.support.served import DATA, Bundle

try:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Page,
        Request,
        ViewportSize,
        sync_playwright,
    )
except ImportError:
    PLAYWRIGHT = False
else:
    PLAYWRIGHT = True

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

# The fake microphone speaks: a person reading Telugu; the fake camera shows a portrait (see ``chromium``). Nothing that
# a browser does by itself may reach a network.
ARGUMENTS = (
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    f"--use-file-for-fake-audio-capture={DATA / 'ai_voice' / 'human_te.wav'}",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 30_000
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass
class Seen:
    """What a page did.

    Attributes:
        requests: Addresses that it asked for.
        errors: What it wrote to the console as an error, and exceptions that nothing caught.
    """

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def watch(self, context: BrowserContext) -> None:
        """Writes down what all pages of a context do."""
        context.on("request", self._on_request)
        context.on("console", self._on_console)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def origins(self) -> set[str]:
        """Where requests went; ``blob:`` and ``data:`` stay in the page."""
        parts = [urlsplit(url) for url in self.requests]
        return {f"{part.scheme}://{part.netloc}" for part in parts if part.scheme not in ("blob", "data")}


@contextlib.contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    """A headless Chromium. While it runs, nothing else in this thread can run an event loop."""
    if not PLAYWRIGHT:
        missing("playwright")
    path = program(*PROGRAMS)
    os.environ["PLAYWRIGHT_NODEJS_PATH"] = program("node")  # `training.trim` removes the one that it brings
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        yield running
        running.close()


# For a module, not the session, for other modules need event loops.
@pytest.fixture(scope="module")
def chromium(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser; the bundle is started before it."""
    film = tmp_path_factory.mktemp("camera") / "portrait.mjpeg"
    film.write_bytes(30 * (DATA / "faces" / "female_3.jpg").read_bytes())
    with browser(f"--use-file-for-fake-video-capture={film}") as running:
        yield running


@pytest.fixture
def seen() -> Seen:
    """What the test's pages did."""
    return Seen()


@pytest.fixture
def page(chromium: Browser, bundle: Bundle, seen: Seen) -> Iterator[Page]:
    """A fresh page. At its end: no request has left the server's origin, and no error stands in the console."""
    context = chromium.new_context(base_url=bundle.url)
    context.set_default_timeout(PATIENCE_MS)
    seen.watch(context)
    yield context.new_page()
    context.close()
    assert seen.origins() == {bundle.url}
    assert seen.errors == []
