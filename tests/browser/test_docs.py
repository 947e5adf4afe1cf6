"""``/docs`` in a browser: the key is given once, and the example goes out as it is, without the internet."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.served import KEY, ROOT

pytestmark = [pytest.mark.browser, pytest.mark.served]

KEYED = "#operations-AI_voice-voice_detection"


def send(page: Page, operation: str) -> None:
    """Opens an operation and sends what stands in its form."""
    page.locator(f"{operation} .opblock-summary-control").click()
    page.locator(operation).get_by_role("button", name="Try it out").click()
    page.locator(f"{operation} button.execute").click()


def status(page: Page, operation: str) -> str:
    """The status of the answer that is shown."""
    shown = page.locator(f"{operation} .live-responses-table .response-col_status").last
    expect(shown).to_be_visible()
    return shown.inner_text().split()[0]


def authorize(page: Page, key: str) -> None:
    page.get_by_role("button", name="Authorize").first.click()
    dialogue = page.locator(".modal-ux")
    dialogue.locator("input").fill(key)
    dialogue.get_by_role("button", name="Apply credentials").click()
    dialogue.get_by_role("button", name="Close").click()


def test_the_key_opens_the_keyed_route(page: Page) -> None:
    page.goto("/docs")
    authorize(page, KEY)
    send(page, KEYED)
    assert status(page, KEYED) == "200"
    expect(page.locator(f"{KEYED} .live-responses-table")).to_contain_text("confidenceScore")


def test_the_example_url_is_answered_without_a_network(page: Page) -> None:
    operation = "#operations-audio_scene-analyze_audio"
    page.goto("/docs")
    send(page, operation)
    assert status(page, operation) == "200"
    expect(page.locator(f"{operation} .live-responses-table")).to_contain_text("music")


def test_a_file_can_be_sent_and_errors_are_shown(page: Page) -> None:
    operation = "#operations-voice_gender-detect_gender"
    page.goto("/docs")
    page.locator(f"{operation} .opblock-summary-control").click()
    page.locator(operation).get_by_role("button", name="Try it out").click()
    page.locator(f"{operation} input[type=file]").set_input_files(ROOT / "media/assets/examples/voice.flac")
    page.locator(f"{operation} button.execute").click()
    assert status(page, operation) == "200"
    expect(page.locator(f"{operation} .responses-table").last).to_contain_text("request_id")
