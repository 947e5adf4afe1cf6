"""Pictures and a film of the playground: ``make screenshots`` writes them, this checks that they can be made."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.browser.conftest import PHONE
from tests.browser.panels import click_example, open_panel
from tests.support.served import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

DOCUMENTS = ROOT / "docs" / "screenshots"
DESKTOP = {"width": 1100, "height": 800}
SHOTS = {
    "voice": ("Voice gender", "A reader", DESKTOP),
    "face": ("Face gender", "Two faces", DESKTOP),
    "heart": ("Heart", "A murmur", DESKTOP),
    "scene": ("Scene", "All four, 15 s", DESKTOP),
    "ai_voice": ("AI voice", "PortaSpeech, English", DESKTOP),
    "phone": ("Scene", "All four, 15 s", PHONE),
}
LARGEST, LARGEST_FILM = 200_000, 1_000_000  # bytes
FILM = "playground.webp"
FILM_SIZE = (825, 600)  # pixels
WAITED_FOR = "Promise.all([...document.images].map(image => image.decode()))"


@pytest.mark.parametrize("name", SHOTS)
def test_screenshot(page: Page, tmp_path: Path, name: str) -> None:
    panel, example, size = SHOTS[name]
    page.set_viewport_size(size)  # type: ignore[arg-type]
    click_example(open_panel(page, panel), example).locator(".head").wait_for()
    page.evaluate(WAITED_FOR)
    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    path = Path(os.environ.get("SCREENSHOTS", tmp_path)) / f"{name}.png"
    picture.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size <= LARGEST


class Camera:
    """Takes frames of a page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.frames: list[Image.Image] = []
        self.lengths: list[int] = []

    def take(self, shown_ms: int) -> None:
        """Takes what is in sight."""
        frame = Image.open(io.BytesIO(self._page.screenshot(animations="disabled"))).convert("RGB")
        self.frames.append(frame.resize(FILM_SIZE, Image.Resampling.LANCZOS))
        self.lengths.append(shown_ms)

    def save(self, path: Path) -> None:
        """Writes the film."""
        first, *others = self.frames
        first.save(path, save_all=True, append_images=others, duration=self.lengths, loop=0, quality=60, method=4)


def test_film(page: Page, tmp_path: Path) -> None:
    """From the first view to an answer while somebody speaks, an example, and the numbers under the pointer."""
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    camera = Camera(page)
    panel = open_panel(page, "Scene")
    camera.take(1500)
    panel.get_by_role("button", name="Record", exact=True).click()
    panel.locator(".so-far [role=status]").wait_for()
    for _ in range(12):
        camera.take(250)
        page.wait_for_timeout(150)
    page.get_by_role("button", name="Cancel").click()
    answer = click_example(panel, "All four, 15 s")
    page.evaluate(WAITED_FOR)
    camera.take(2500)
    answer.get_by_role("img", name="Waveform").scroll_into_view_if_needed()
    for name in ("Waveform", "Mel spectrogram", "Music over time"):
        picture = answer.get_by_role("img", name=name)
        width = (picture.bounding_box() or {"width": 0})["width"]
        for share in (0.25, 0.4):
            picture.hover(position={"x": share * width, "y": 5})
            camera.take(700)
    path = Path(os.environ.get("SCREENSHOTS", tmp_path)) / FILM
    camera.save(path)
    with Image.open(path) as film:
        assert getattr(film, "n_frames", 1) >= 12
    assert path.stat().st_size <= LARGEST_FILM


def test_documents_have_them_all() -> None:
    assert (DOCUMENTS / FILM).stat().st_size <= LARGEST_FILM
    assert f"(docs/screenshots/{FILM})" in (ROOT / "README.md").read_text()
    assert {path.stem for path in DOCUMENTS.glob("*.png")} == set(SHOTS)
    assert all(path.stat().st_size <= LARGEST for path in DOCUMENTS.glob("*.png"))
    page = (ROOT / "docs" / "playground.md").read_text()
    assert set(re.findall(r"\(screenshots/(\w+)\.png\)", page)) == set(SHOTS)
