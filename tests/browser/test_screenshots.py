"""Pictures of the playground for the documents: ``make screenshots`` writes them, this checks that they can be made."""

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
LARGEST = 200_000  # bytes
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


def test_documents_have_them_all() -> None:
    assert {path.stem for path in DOCUMENTS.glob("*.png")} == set(SHOTS)
    assert all(path.stat().st_size <= LARGEST for path in DOCUMENTS.glob("*.png"))
    page = (ROOT / "docs" / "playground.md").read_text()
    assert set(re.findall(r"\(screenshots/(\w+)\.png\)", page)) == set(SHOTS)
