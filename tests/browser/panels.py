"""Ways through the playground that its tests share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.served import DATA, KEY

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PERCENT = re.compile(r"^\d+\.\d %$")
FILES = {
    "Voice gender": (DATA / "voices" / "male_1.flac", {"Female", "Male"}),
    "Face gender": (DATA / "faces" / "female_3.jpg", {"Female", "Male"}),
    "Heart": (DATA / "hearts" / "normal_1.flac", {"Artifact", "Murmur", "Normal", "Extra heart sound", "Extrasystole"}),
    "Scene": (DATA / "scenes" / "music_1.flac", {"Speech", "Music", "Noise", "Silence"}),
    "AI voice": (DATA / "ai_voice" / "ai_ta_espeak.mp3", {"Human", "AI-generated"}),
}


def open_panel(page: Page, name: str, key: str = KEY) -> Locator:
    """Opens the playground at one of its panels."""
    page.goto("/ui")
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.get_by_role("tabpanel", name=name, exact=True)
    panel.locator(".example").first.wait_for()
    if name == "AI voice":
        panel.get_by_label("API key").fill(key)
    return panel


def ask(panel: Locator) -> Locator:
    """Presses the button; gives the place of the answer, once it is there."""
    panel.get_by_role("button", name=re.compile("^Ask")).click()
    answer = panel.locator(".answer")
    answer.locator(".head, .error").first.wait_for()
    return answer


def ask_about(panel: Locator, file: object) -> Locator:
    """Chooses a file and asks about it."""
    panel.get_by_label("Choose files").set_input_files(file)  # type: ignore[arg-type]
    return ask(panel)


def click_example(panel: Locator, title: str) -> Locator:
    """Clicks an example; gives the place of the answer, once it is there."""
    panel.get_by_role("button", name=title, exact=True).click()
    answer = panel.locator(".answer")
    answer.locator(".head, .error").first.wait_for()
    return answer


def percents(bars: Locator) -> dict[str, float]:
    """Bars by name; the number beside each is the same as the bar's."""
    found = {}
    for row in bars.locator("label").all():
        name, shown = row.locator("> span:not(.gauge)").all_inner_texts()
        assert PERCENT.match(shown)
        found[name] = float(shown.split()[0])
        bar = row.get_by_role("meter")
        assert 100 * float(bar.get_attribute("value") or "nan") == pytest.approx(found[name], abs=0.051)
    return found
