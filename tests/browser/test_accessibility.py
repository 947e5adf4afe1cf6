"""No page has a serious fault by the rules of axe-core, in the light and in the dark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.panels import FILES, click_example, open_panel
from tests.support.served import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

EXAMPLES = {
    "Voice gender": "A reader",
    "Face gender": "A portrait",
    "Heart": "A murmur",
    "Scene": "All four, 15 s",
    "AI voice": "espeak-ng, Tamil",
}


def serious(page: Page) -> list[str]:
    """What axe finds to be serious or critical: rule and place."""
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    faults = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {node['target']} {node['html'][:150]}" for fault in faults for node in fault["nodes"]]


def assert_accessible(page: Page) -> None:
    """In both schemes. Styles know them, and the picture of a spectrogram, which axe does not read."""
    for scheme in ("dark", "light"):  # the light last: what is drawn next is drawn in it
        page.emulate_media(color_scheme=scheme)
        assert serious(page) == [], scheme


@pytest.mark.parametrize("name", FILES)
def test_playground(page: Page, name: str) -> None:
    panel = open_panel(page, name)
    assert_accessible(page)
    answer = click_example(panel, EXAMPLES[name])
    answer.get_by_role("button", name="Copy as curl").click()
    answer.locator("pre").wait_for()
    assert_accessible(page)


@pytest.mark.parametrize("path", ["/", "/ui/cards/voice_gender"])
def test_page(page: Page, path: str) -> None:
    page.goto(path)
    assert_accessible(page)


def opened(page: Page) -> None:
    """All operations are open, one of them with its form and an answer, and so are the schemas."""
    controls = page.locator(".opblock-summary-control")
    controls.evaluate_all("all => all.forEach(control => control.click())")  # drawn once, not after each
    expect(page.locator(".opblock-body")).to_have_count(controls.count())
    operation = page.locator("#operations-audio_scene-analyze_audio")
    operation.get_by_role("button", name="Try it out").click()
    operation.locator("button.execute").click()
    operation.locator(".live-responses-table").wait_for()


def authorizing(page: Page) -> None:
    """The dialogue for the key is open."""
    page.get_by_role("button", name="Authorize").first.click()
    page.locator(".modal-ux input").fill(KEY)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("act", [lambda page: None, opened, authorizing], ids=["closed", "opened", "authorizing"])
def test_docs(page: Page, scheme: str, act: Callable[[Page], None]) -> None:
    """A script of the page knows the scheme, so it is there before the page is loaded."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto("/docs")
    page.locator(".opblock").first.wait_for()
    act(page)
    assert serious(page) == []
