"""Microphone and camera of the playground: what they give, what is seen while they are on, and that they end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Seen
from tests.browser.panels import FILES, ask, click_example, open_panel
from tests.support.served import KEY, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

# A camera begins with black frames; a person waits for the picture.
SHOWS_SOMETHING = """async video => {
    const context = new OffscreenCanvas(64, 64).getContext('2d', { willReadFrequently: true });
    const end = performance.now() + 30_000;
    while (performance.now() < end) {
        context.drawImage(video, 0, 0, 64, 64);
        if (new Set(new Uint32Array(context.getImageData(0, 0, 64, 64).data.buffer)).size > 200) return;
        await new Promise(resolve => setTimeout(resolve, 50));
    }
    throw new Error('the camera shows nothing');
}"""

# Keeps every stream that the page opens, so that a test can tell whether its tracks have ended.
KEEP_STREAMS = """
    window.streams = [];
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async what => {
        const stream = await open(what);
        window.streams.push(stream);
        return stream;
    };
"""
LIVE = "streams.flatMap(stream => stream.getTracks()).filter(track => track.readyState === 'live').length"
HIDE = """() => {
    Object.defineProperty(document, 'hidden', { value: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def start(page: Page, name: str, button: str) -> None:
    """Turns on the microphone or the camera of a panel, and waits until it is on."""
    page.add_init_script(KEEP_STREAMS)
    panel = open_panel(page, name)
    panel.get_by_role("button", name=button, exact=True).press("Enter")
    wait_for(lambda: page.evaluate(LIVE) == 1)
    panel.locator(".on-air").wait_for()


def expect_all_ended(page: Page) -> None:
    """Waits until no microphone and no camera is on."""
    wait_for(lambda: page.evaluate(LIVE) == 0)
    assert page.locator(".on-air").count() == 0


def test_recorded_voice_is_judged(page: Page) -> None:
    start(page, "AI voice", "Record")
    panel = page.get_by_role("tabpanel", name="AI voice")
    live = panel.get_by_role("group", name="Recording")
    expect(live).to_contain_text("of 0:30")
    colour = live.locator(".on-air").evaluate("words => getComputedStyle(words).color")
    red, green, blue = (int(part) for part in re.findall(r"\d+", colour)[:3])
    assert red > 1.5 * max(green, blue)
    wait_for(lambda: page.evaluate("document.querySelector('.live meter').value > 0.3"))  # there is speech
    expect(live).to_contain_text("0:02 of 0:30")
    live.get_by_role("button", name="Stop").press("Enter")
    expect(panel.locator(".chosen .name")).to_have_text("Your recording")
    assert panel.get_by_label("Your recording", exact=True).is_visible()
    expect_all_ended(page)
    assert ask(panel).locator(".verdict").inner_text() in FILES["AI voice"][1]


def test_answer_is_shown_while_somebody_speaks(page: Page) -> None:
    """The recording goes to the server's stream as it is made, in the form that the browser records."""
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    start(page, "Scene", "Record")
    live = page.get_by_role("group", name="Recording")
    expect(live.locator(".so-far [role=status]")).to_contain_text("Speech")
    assert live.locator(".so-far .badge").inner_text() in ("sure", "likely", "uncertain")
    assert re.fullmatch(r"\d+\.\d %", live.locator(".so-far .number").inner_text())
    assert [url.partition("/v1/")[2] for url in sockets] == ["stream/audio-scene?format=opus"]
    live.get_by_role("button", name="Stop").press("Enter")
    expect_all_ended(page)
    panel = page.get_by_role("tabpanel", name="Scene")
    assert ask(panel).locator(".verdict").inner_text() == "Speech"


@pytest.mark.parametrize("key", [KEY, ""])
def test_key_opens_the_stream_of_a_question_that_needs_one(page: Page, key: str) -> None:
    page.add_init_script(KEEP_STREAMS)
    panel = open_panel(page, "AI voice", key)
    panel.get_by_role("button", name="Record", exact=True).press("Enter")
    so_far = panel.locator(".so-far")
    if key:
        expect(so_far.locator("[role=status]")).to_contain_text(re.compile("Human|AI-generated"))
    else:
        expect(so_far).to_contain_text("With the API key")
    page.get_by_role("button", name="Cancel").click()
    expect_all_ended(page)


def test_recording_goes_on_where_the_stream_fails(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "AI voice", "wrong")
    panel.get_by_role("button", name="Record", exact=True).press("Enter")
    expect(panel.locator(".so-far")).to_contain_text("ask when you have stopped")
    expect(panel.locator(".live .clock")).to_contain_text("0:01")
    page.get_by_role("button", name="Stop").click()
    expect(panel.locator(".chosen .name")).to_have_text("Your recording")
    assert "403" in seen.errors.pop()


def test_recording_is_thrown_away(page: Page) -> None:
    start(page, "Voice gender", "Record")
    page.get_by_role("button", name="Cancel").click()
    expect_all_ended(page)
    assert page.locator("#voice-gender .chosen").count() == 0


def test_picture_of_the_camera_is_judged(page: Page) -> None:
    start(page, "Face gender", "Use the camera")
    page.locator("#viewfinder").evaluate(SHOWS_SOMETHING)
    panel = page.get_by_role("tabpanel", name="Face gender")
    panel.get_by_role("button", name="Take the picture").press("Enter")
    expect(panel.locator(".chosen .name")).to_have_text("Your picture")
    assert page.locator("#viewfinder").count() == 0
    expect_all_ended(page)
    assert ask(panel).locator(".verdict").inner_text() in FILES["Face gender"][1]


def test_camera_is_cancelled(page: Page) -> None:
    start(page, "Face gender", "Use the camera")
    page.get_by_role("button", name="Cancel").click()
    expect_all_ended(page)
    assert page.locator("#viewfinder").count() == 0


@pytest.mark.parametrize(("name", "button"), [("Voice gender", "Record"), ("Face gender", "Use the camera")])
@pytest.mark.parametrize("how", ["another file", "an example", "another question", "hidden"])
def test_microphone_and_camera_end_with_their_purpose(page: Page, name: str, button: str, how: str) -> None:
    start(page, name, button)
    panel = page.get_by_role("tabpanel", name=name)
    if how == "another file":
        page.locator("body").evaluate(
            """(body, type) => {
            const data = new DataTransfer();
            data.items.add(new File(['x'], 'other', { type }));
            body.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
            "image/png" if name == "Face gender" else "audio/wav",
        )
        expect(panel.locator(".chosen .name")).to_have_text("other")
    elif how == "an example":
        click_example(panel, "A portrait" if name == "Face gender" else "A reader")
    elif how == "another question":
        page.get_by_role("tab", name="Heart", exact=True).click()
    else:
        page.evaluate(HIDE)
    expect_all_ended(page)


def test_asking_ends_what_is_recorded(page: Page) -> None:
    """Nothing can be started while a question is under way, and so nothing is on when its answer is there."""
    page.add_init_script(KEEP_STREAMS)
    panel = open_panel(page, "Voice gender")
    click_example(panel, "A reader")
    panel.get_by_role("button", name="Record", exact=True).click()
    panel.locator(".on-air").wait_for()
    ask(panel)
    expect_all_ended(page)
