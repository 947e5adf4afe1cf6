"""What the playground is asked with: files however they come, addresses, examples and the key, and what is wrong."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from api.ui.routes import TAKES
from tests.browser.conftest import PHONE, Seen
from tests.browser.panels import FILES, ask, ask_about, click_example, open_panel
from tests.support.served import DATA, ROOT, TOGETHER, Bundle, serve
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

WRONG = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"neither a sound nor a picture"}

# Sends an event with files to a place of the page, as a browser does when they are dropped or pasted.
BRING = """async (target, { kind, files }) => {
    const data = new DataTransfer();
    for (const { name, type, bytes } of files) data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
    const make = kind === 'paste'
        ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
        : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
    target.dispatchEvent(make);
}"""


def bring(place: Locator, kind: str, *files: tuple[str, str, Path]) -> None:
    """Drops or pastes files, each given by its name, type and path."""
    given = [{"name": name, "type": kind_, "bytes": list(path.read_bytes())} for name, kind_, path in files]
    place.evaluate(BRING, {"kind": kind, "files": given})


def test_first_view_has_one_sentence_five_questions_and_no_button_yet(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    assert page.locator(".lead").inner_text().count(".") == 1
    assert page.get_by_role("tab").count() == 5
    zone = panel.locator(".drop").bounding_box()
    assert zone
    assert zone["width"] * zone["height"] > 50_000
    assert panel.locator(".sketch").is_visible()
    assert panel.get_by_role("button", name=re.compile("^Ask")).count() == 0
    panel.get_by_label("Choose files").set_input_files(FILES["Voice gender"][0])
    assert panel.get_by_role("button", name="Ask", exact=True).is_visible()
    ask(panel)
    assert panel.locator(".sketch").count() == 0


@pytest.mark.parametrize("name", ["Voice gender", "Face gender"])
def test_the_formats_are_those_that_the_server_reads(page: Page, name: str) -> None:
    panel, kind = open_panel(page, name), TAKES["picture" if name == "Face gender" else "audio"]
    expect(panel.locator(".drop")).to_contain_text(f"one file or several: {kind['labels']}")
    expect(panel.get_by_label("Choose files")).to_have_attribute("accept", kind["accept"])


def test_file_is_dropped_anywhere_on_the_page(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    bring(page.locator("h1"), "dragover", ("voice.flac", "audio/flac", FILES["Voice gender"][0]))
    expect(panel.locator(".drop")).to_have_class(re.compile("over"))
    bring(page.locator("footer"), "drop", ("voice.flac", "audio/flac", FILES["Voice gender"][0]))
    expect(panel.locator(".chosen .name")).to_have_text("voice.flac")
    assert ask(panel).locator(".verdict").inner_text() == "Male"


def test_picture_is_pasted_and_goes_to_the_question_that_takes_pictures(page: Page) -> None:
    open_panel(page, "Voice gender")
    bring(page.locator("body"), "paste", ("image.png", "image/png", FILES["Face gender"][0]))
    panel = page.get_by_role("tabpanel", name="Face gender", exact=True)
    assert ask(panel).locator(".verdict").inner_text() == "Female"


def test_several_files_are_answered_in_their_order_and_one_fails_alone(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "Voice gender")
    names = ["female_1", "male_1", "male_2"]
    files: list[Any] = [DATA / "voices" / f"{name}.flac" for name in names]
    panel.get_by_label("Choose files").set_input_files(files)
    assert panel.locator(".chosen .name").all_inner_texts() == [f"{name}.flac" for name in names]
    bring(
        page.locator("body"),
        "drop",
        *((path.name, "audio/flac", path) for path in files),
        ("x.wav", "audio/wav", DATA / "voices/README.md"),
    )
    panel.get_by_role("button", name="Ask about 4 files").click()
    expect(panel.locator("> [role=status]")).to_have_text("3 of 4 files were answered")
    rows = [row.inner_text().split("\t") for row in panel.locator(".several tbody tr").all()]
    assert [row[:2] for row in rows[:3]] == [
        ["female_1.flac", "Female"],
        ["male_1.flac", "Male"],
        ["male_2.flac", "Male"],
    ]
    assert rows[3][0] == "x.wav"
    assert "not audio" in rows[3][1]
    panel.get_by_role("button", name="male_2.flac", exact=True).click()
    assert panel.locator(".head .of").inner_text() == "male_2.flac"
    assert "400" in seen.errors.pop()


def test_audio_at_an_address_is_described(page: Page, site: LocalSite) -> None:
    panel = open_panel(page, "Scene")
    address = site.add_file("/rain.flac", (DATA / "scenes" / "noise_1.flac").read_bytes())
    panel.get_by_label("or the address of an audio file").fill(address)
    answer = ask(panel)
    assert answer.locator(".verdict").inner_text() == "Noise"
    assert "16 kHz" in answer.inner_text()


def test_address_and_example_never_contradict_each_other(page: Page, site: LocalSite) -> None:
    panel = open_panel(page, "Scene")
    field = panel.get_by_label("or the address of an audio file")
    address = site.add_file("/rain.flac", (DATA / "scenes" / "noise_1.flac").read_bytes())
    field.fill(address)
    assert panel.locator(".chosen .name").all_inner_texts() == [address]
    click_example(panel, "An orchestra")
    assert field.input_value() == ""
    assert panel.locator(".chosen .name").all_inner_texts() == ["An orchestra"]
    field.fill(address)
    assert panel.locator(".chosen .name").all_inner_texts() == [address]
    field.fill("")
    assert panel.locator(".chosen").count() == 0


def test_address_that_is_not_public_is_refused_and_marked(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "Scene")
    field = panel.get_by_label("or the address of an audio file")
    field.fill("http://10.0.0.1/clip.wav")
    said = ask(panel).get_by_role("alert").inner_text()
    assert "public" in said
    assert "Download the file yourself" in said
    assert field.get_attribute("aria-invalid") == "true"
    assert "400" in seen.errors.pop()


def test_key_is_wrong(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "AI voice", key="wrong")
    said = ask_about(panel, FILES["AI voice"][0]).get_by_role("alert").inner_text()
    assert "Invalid API key provided" in said
    assert "API_KEY" in said
    assert panel.get_by_label("API key").get_attribute("aria-invalid") == "true"
    assert "403" in seen.errors.pop()  # the browser reports the status itself


def test_key_is_missing(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "AI voice", key="")
    answer = click_example(panel, "A person, English")
    assert "needs an API key" in answer.get_by_role("alert").inner_text()
    assert panel.get_by_label("API key").evaluate("field => field === document.activeElement")
    assert not [url for url in seen.requests if "/ui/ask/" in url]


def test_key_stays_in_memory(page: Page) -> None:
    panel = open_panel(page, "AI voice")
    assert panel.get_by_label("API key").get_attribute("type") == "password"
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.reload()
    assert panel.get_by_label("API key").input_value() == ""


def test_server_without_a_key_says_so_before_anything_is_sent(chromium: Browser, small_bundle: Bundle) -> None:
    page = chromium.new_page(base_url=small_bundle.url)
    page.goto("/ui#ai-voice")
    panel = page.get_by_role("tabpanel", name="AI voice", exact=True)
    expect(panel).to_contain_text("This server has no API key")
    assert "API_KEY=secret make serve" in panel.inner_text()
    assert panel.locator("input, .example").count() == 0
    page.close()


def test_every_question_asks_for_a_key_where_the_server_has_a_store_of_keys(
    chromium: Browser, store: Path, tmp_path: Path
) -> None:
    settings = {"KEY_STORE": str(tmp_path / "keys.json")}
    add = [sys.executable, "-m", "cli", "keys", "add", "lab", "--questions", "voice-gender"]
    made = subprocess.run(add, cwd=ROOT, env=os.environ | settings, text=True, capture_output=True, check=True)
    with serve(store, TOGETHER | settings) as bundle:
        page = chromium.new_page(base_url=bundle.url)
        panel = open_panel(page, "Voice gender")
        assert "needs an API key" in click_example(panel, "A reader").inner_text()
        panel.get_by_label("API key").fill(made.stdout.strip())
        assert click_example(panel, "A reader").locator(".verdict").inner_text() == "Female"
        for form in ("curl", "Python", "TypeScript"):
            panel.get_by_role("button", name=f"Copy as {form}").click()
            expect(panel.locator(".use pre")).to_contain_text("API_KEY")
        page.close()


def test_file_that_is_too_large_is_not_sent(chromium: Browser, small_bundle: Bundle) -> None:
    page = chromium.new_page(base_url=small_bundle.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    large = {"name": "long.wav", "mimeType": "audio/wav", "buffer": b"\0" * (600 << 10)}
    said = ask_about(open_panel(page, "Voice gender"), large).get_by_role("alert").inner_text()
    assert "larger than 0.5 MiB" in said
    assert "MAX_BODY_MB" in said
    assert not [url for url in asked if "/ui/ask/" in url]
    page.close()


@pytest.mark.parametrize("name", FILES)
def test_wrong_file_is_refused_in_words_and_marked(page: Page, seen: Seen, name: str) -> None:
    panel = open_panel(page, name)
    answer = ask_about(panel, WRONG)
    expected = "not a picture of a known kind" if name == "Face gender" else "not audio in a known format"
    assert expected in answer.get_by_role("alert").inner_text()
    assert answer.locator(".advice").is_visible()
    assert answer.locator(".verdict").count() == 0
    assert panel.get_by_label("Choose files").get_attribute("aria-invalid") == "true"
    assert "400" in seen.errors.pop()


def test_picture_without_a_face_is_refused_in_words(page: Page, seen: Seen) -> None:
    said = click_example(open_panel(page, "Face gender"), "No face").get_by_role("alert").inner_text()
    assert "no face" in said
    assert "turned away" in said
    assert "422" in seen.errors.pop()


def test_tabs_are_moved_through_by_arrows_and_remembered_in_the_address(page: Page) -> None:
    page.goto("/ui")
    page.get_by_role("tab", name="Voice gender", exact=True).focus()
    for key, name in (
        ("ArrowRight", "Face gender"),
        ("End", "AI voice"),
        ("ArrowRight", "Voice gender"),
        ("ArrowLeft", "AI voice"),
    ):
        page.keyboard.press(key)
        assert page.get_by_role("tab", name=name, exact=True).evaluate("tab => tab === document.activeElement")
        assert page.get_by_role("tabpanel").count() == 1
    page.reload()
    assert page.get_by_role("tabpanel", name="AI voice", exact=True).is_visible()


@pytest.mark.parametrize("name", FILES)
def test_every_field_can_be_reached_by_keyboard_and_has_a_name(page: Page, name: str) -> None:
    panel = open_panel(page, name)
    panel.get_by_label("Choose files").set_input_files(FILES[name][0])
    fields = panel.locator("input, button, summary")
    unnamed = fields.evaluate_all("all => all.filter(field => !field.innerText && !field.labels?.length).length")
    assert unnamed == 0
    page.get_by_role("tab", name=name, exact=True).focus()
    reached = set()
    for _ in range(3 * fields.count()):
        page.keyboard.press("Tab")
        reached.add(fields.evaluate_all("all => all.indexOf(document.activeElement)"))
    assert reached >= set(range(fields.count()))


def test_example_is_asked_about_with_the_keyboard_alone(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    panel.get_by_role("button", name="A reader", exact=True).focus()
    page.keyboard.press("Enter")
    panel.locator(".head").wait_for()


@pytest.mark.parametrize("name", FILES)
def test_phone_needs_no_sideways_scrolling(page: Page, name: str) -> None:
    page.set_viewport_size(PHONE)
    panel = open_panel(page, name)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert ask_about(panel, FILES[name][0]).locator(".verdict").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_phone_scrolls_to_the_answer(page: Page) -> None:
    """It is below what was asked with; the beginning of the answer comes into sight."""
    page.set_viewport_size(PHONE)
    page.emulate_media(reduced_motion="reduce")
    answer = click_example(open_panel(page, "AI voice"), "A person, English")
    page.wait_for_function("scrollY > 0")
    place = answer.locator(".verdict").bounding_box()
    assert place
    assert 0 <= place["y"] < PHONE["height"] / 2


def test_phone_has_no_tab_alone_in_its_row(page: Page) -> None:
    page.set_viewport_size(PHONE)
    page.goto("/ui")
    rows = [tab.bounding_box() for tab in page.get_by_role("tab").all()]
    places = [row["y"] for row in rows if row]
    assert len(places) == len(FILES)
    assert all(places.count(place) > 1 for place in places)
