"""The playground (docs/contract.md, Service surface), used as a person uses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from core.settings import VOTING
from dsp.features import FEATURE_NAMES
from tests.browser.conftest import PHONE, Seen
from tests.support.audio_bytes import wav
from tests.support.served import DATA, KEY
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

PERCENT = re.compile(r"^\d+\.\d %$")
FILES = {
    "Voice gender": (DATA / "voices" / "male_1.flac", {"Female", "Male"}),
    "Face gender": (DATA / "faces" / "female_3.jpg", {"Female", "Male"}),
    "Heart": (DATA / "hearts" / "normal_1.flac", {"Artifact", "Murmur", "Normal", "Extra heart sound", "Extrasystole"}),
    "Scene": (DATA / "scenes" / "music_1.flac", {"Speech", "Music", "Noise", "Silence"}),
    "AI voice": (DATA / "ai_voice" / "ai_ta_espeak.mp3", {"Human", "AI-generated"}),
}
# How much there is to see of a canvas: its size and the number of its colours.
SEEN_ON_CANVAS = """canvas => {
    const { width, height } = canvas;
    const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, width, height).data.buffer);
    return [width, height, new Set(pixels).size];
}"""

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


def open_panel(page: Page, name: str, key: str = KEY) -> Locator:
    """Opens the playground at one of its panels."""
    page.goto("/ui")
    page.get_by_role("tab", name=name, exact=True).click()
    panel = page.get_by_role("tabpanel", name=name, exact=True)
    panel.get_by_role("button").nth(3).wait_for()  # the examples are there
    if name == "AI voice":
        panel.get_by_label("API key").fill(key)
    return panel


def ask(panel: Locator) -> Locator:
    """Presses the button; gives the place of the answer, once it is there."""
    panel.get_by_role("button", name="Ask").click()
    answer = panel.locator(".answer")
    answer.locator(".verdict, .error").wait_for()
    return answer


def ask_about(panel: Locator, file: object) -> Locator:
    """Chooses a file and asks about it."""
    panel.get_by_label("Choose a file").set_input_files(file)  # type: ignore[arg-type]
    return ask(panel)


def click_example(panel: Locator, title: str) -> Locator:
    """Clicks an example; gives the place of the answer, once it is there."""
    panel.get_by_role("button", name=title, exact=True).click()
    answer = panel.locator(".answer")
    answer.locator(".verdict, .error").wait_for()
    return answer


def percents(bars: Locator) -> dict[str, float]:
    """Bars by name; the number beside each is the same as the bar's."""
    found = {}
    for row in bars.locator("label").all():
        name, shown = row.locator("span").all_inner_texts()
        assert PERCENT.match(shown)
        found[name] = float(shown.split()[0])
        bar = row.get_by_role("meter")
        assert 100 * float(bar.get_attribute("value") or "nan") == pytest.approx(found[name], abs=0.051)
    return found


@pytest.mark.parametrize("name", FILES)
def test_file_gets_a_bar_for_each_class_and_its_model(page: Page, client: httpx.Client, name: str) -> None:
    file, classes = FILES[name]
    answer = ask_about(open_panel(page, name), file)
    shares = percents(answer.locator(".bars").first)
    assert set(shares) == classes
    assert sum(shares.values()) == pytest.approx(100, abs=0.3)
    if name != "AI voice":  # whose verdict is that of a threshold
        assert answer.locator(".verdict").inner_text() == max(shares, key=lambda label: shares[label])
    models = answer.get_by_role("list", name="Models that answered")
    for link in models.get_by_role("link").all():
        assert "Intended use" in client.get(link.get_attribute("href") or "").text
    assert models.locator("code").count() == (3 if name == "AI voice" else 1)
    assert re.fullmatch(r"[a-z_0-9]+:[0-9a-f]{16}", models.locator("code").first.inner_text())


@pytest.mark.parametrize("name", [name for name in FILES if name != "Face gender"])
def test_sound_is_shown_as_the_model_heard_it(page: Page, name: str) -> None:
    answer = ask_about(open_panel(page, name), FILES[name][0])
    points = answer.get_by_role("img", name="Waveform").locator("polygon").get_attribute("points") or ""
    assert len(points.split()) > 500
    width, height, colours = answer.locator("mel-picture canvas").evaluate(SEEN_ON_CANVAS)
    assert (width > 200, height >= 16, colours > 50) == (True, True, True)


def test_face_is_marked_and_cut_out(page: Page) -> None:
    answer = ask_about(open_panel(page, "Face gender"), FILES["Face gender"][0])
    picture = answer.get_by_role("img", name="The picture").bounding_box()
    face = answer.get_by_role("img", name="The face that was found").locator("rect").bounding_box()
    assert picture
    assert face
    assert picture["x"] < face["x"] < face["x"] + face["width"] < picture["x"] + picture["width"]
    assert picture["y"] < face["y"] < face["y"] + face["height"] < picture["y"] + picture["height"]
    crop = answer.get_by_role("img", name="The face, upright and cut out")
    assert crop.evaluate("image => image.decode().then(() => image.naturalWidth)") == 112


def test_long_audio_has_a_timeline_and_progress(page: Page) -> None:
    """Three minutes in which speech and silence take turns."""
    panel = open_panel(page, "Scene")
    page.evaluate(
        """() => {
        window.told = new Set();
        const status = document.querySelector('#audio-scene .progress');
        new MutationObserver(() => window.told.add(status.textContent.trim()))
            .observe(status, { childList: true, subtree: true, characterData: true });
    }"""
    )
    samples = np.tile(np.concatenate([voiced(), np.zeros(160_000)]), 9)
    file = {"name": "long.wav", "mimeType": "audio/wav", "buffer": wav(samples, 16_000)}
    answer = ask_about(panel, file)
    assert panel.get_by_role("status").text_content() == "The answer is there"
    assert any(re.match(r"Going through the windows, \d+ %", text) for text in page.evaluate("[...told]"))
    for name in ("Speech", "Music", "Noise", "Silence"):
        lane = answer.get_by_role("img", name=f"{name} over time")
        assert lane.locator("rect").count() == 71  # 180 s in windows of at most 2.56 s
    silence = answer.get_by_role("img", name="Silence over time").locator("rect")
    shares = [float(rect.get_attribute("fill-opacity") or "nan") for rect in silence.all()]
    assert min(shares) < 0.2
    assert max(shares) > 0.8


def voiced() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Ten seconds of harmonics, in syllables."""
    time = np.arange(160_000) / 16_000
    tone = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 20))
    return np.asarray(0.2 * tone * (np.sin(2 * np.pi * 3 * time) > 0))


def test_times_below_a_sound_are_round(page: Page) -> None:
    answer = click_example(open_panel(page, "Scene"), "All four, 15 s")
    assert answer.locator(".ticks text").all_text_contents() == ["0 s", "5 s", "10 s", "15 s"]
    last = answer.locator(".ticks text").last.bounding_box()
    plot = answer.locator("mel-picture").bounding_box()
    assert last
    assert plot
    assert last["x"] + last["width"] == pytest.approx(plot["x"] + plot["width"], abs=2)


def test_ai_voice_shows_votes_features_and_reasons(page: Page) -> None:
    answer = ask_about(open_panel(page, "AI voice"), FILES["AI voice"][0])
    together = percents(answer.locator(".bars").first)["AI-generated"]
    votes = percents(answer.locator(".votes .bars"))
    weights = [float(re.findall(r"×([\d.]+)", name)[0]) for name in votes]
    assert weights == list(VOTING["compact"].weights)
    score = sum(weight * vote for weight, vote in zip(weights, votes.values(), strict=True))
    assert score == pytest.approx(together, abs=0.11)
    assert answer.locator(".verdict").inner_text() == ("AI-generated" if together > 55 else "Human")
    assert re.search(r"(?i)jitter|shimmer|phase coherence|HNR|spectral flatness", answer.locator(".why").inner_text())
    rows = answer.locator(".features tbody tr").all()
    assert len(rows) == len(FEATURE_NAMES)
    for row in rows:
        assert_marked_rightly(row)
    assert answer.locator(".features .outside").count() > 0


def test_all_features_are_a_click_away(page: Page) -> None:
    answer = ask_about(open_panel(page, "AI voice"), FILES["AI voice"][0])
    table = answer.get_by_role("region", name="Acoustic features")
    hidden = "region => region.scrollHeight - region.clientHeight"
    assert table.evaluate(hidden) > 100
    answer.get_by_role("button", name=f"Show all {len(FEATURE_NAMES)}").press("Enter")
    assert table.evaluate(hidden) == 0
    assert table.evaluate("region => region === document.activeElement")


def assert_marked_rightly(row: Locator) -> None:
    """A feature is marked where what was measured is outside of the human range."""
    _, measured, _, place, human = row.locator("th, td").all_inner_texts()
    value = float(measured.split()[0])
    low, high = (float(bound) for bound in human.split(" to "))
    if place in ("below", "above"):
        assert row.get_attribute("class") == "outside"
        assert value <= low if place == "below" else value >= high
    else:
        assert row.get_attribute("class") == ""
        assert low <= value <= high or place == "not measurable"


def test_recorded_voice_is_judged(page: Page) -> None:
    panel = open_panel(page, "AI voice")
    panel.get_by_role("button", name="Record", exact=True).press("Enter")
    panel.get_by_text("Stop (2 s)").wait_for()
    panel.get_by_role("button", name="Stop").press("Enter")
    panel.get_by_text("Your recording").wait_for()
    assert panel.get_by_label("Your recording").is_visible()
    assert ask(panel).locator(".verdict").inner_text().removesuffix(" (uncertain)") in FILES["AI voice"][1]


def test_picture_of_the_camera_is_judged(page: Page) -> None:
    panel = open_panel(page, "Face gender")
    panel.get_by_role("button", name="Use the camera").press("Enter")
    page.locator("#viewfinder").evaluate(SHOWS_SOMETHING)
    panel.get_by_role("button", name="Take the picture").press("Enter")
    panel.get_by_text("Your picture").wait_for()
    assert page.locator("#viewfinder").count() == 0
    assert ask(panel).locator(".verdict").inner_text() in FILES["Face gender"][1]


def test_audio_at_an_address_is_described(page: Page, site: LocalSite) -> None:
    panel = open_panel(page, "Scene")
    address = site.add_file("/rain.flac", (DATA / "scenes" / "noise_1.flac").read_bytes())
    panel.get_by_label("or the address of an audio file").fill(address)
    answer = ask(panel)
    assert answer.locator(".verdict").inner_text() in FILES["Scene"][1]
    assert "16 kHz" in answer.inner_text()


def test_address_that_is_not_public_is_refused_in_words(page: Page, seen: Seen) -> None:
    panel = open_panel(page, "Scene")
    panel.get_by_label("or the address of an audio file").fill("http://10.0.0.1/clip.wav")
    assert "public" in ask(panel).inner_text()
    assert "400" in seen.errors.pop()


def test_key_is_wrong(page: Page, seen: Seen) -> None:
    answer = ask_about(open_panel(page, "AI voice", key="wrong"), FILES["AI voice"][0])
    assert answer.get_by_role("alert").inner_text() == "Invalid API key provided"
    assert "403" in seen.errors.pop()  # the browser reports the status itself


def test_key_stays_in_memory(page: Page) -> None:
    panel = open_panel(page, "AI voice")
    assert panel.get_by_label("API key").get_attribute("type") == "password"
    assert page.evaluate("localStorage.length + sessionStorage.length + document.cookie.length") == 0
    page.reload()
    assert panel.get_by_label("API key").input_value() == ""


@pytest.mark.parametrize("name", FILES)
def test_wrong_file_is_refused_in_words(page: Page, seen: Seen, name: str) -> None:
    wrong = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"neither a sound nor a picture"}
    answer = ask_about(open_panel(page, name), wrong)
    expected = "not a picture of a known kind" if name == "Face gender" else "not audio in a known format"
    assert expected in answer.get_by_role("alert").inner_text()
    assert answer.locator(".verdict").count() == 0
    assert "400" in seen.errors.pop()


def test_nothing_is_chosen(page: Page) -> None:
    assert "Choose, record or click a recording first" in ask(open_panel(page, "Voice gender")).inner_text()


def test_picture_without_a_face_is_refused_in_words(page: Page, seen: Seen) -> None:
    assert "no face" in click_example(open_panel(page, "Face gender"), "No face").get_by_role("alert").inner_text()
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
    fields = panel.locator("input, button, summary")
    unnamed = fields.evaluate_all("all => all.filter(field => !field.innerText && !field.labels?.length).length")
    assert unnamed == 0
    page.get_by_role("tab", name=name, exact=True).focus()
    reached = set()
    for _ in range(2 * fields.count()):
        page.keyboard.press("Tab")
        reached.add(fields.evaluate_all("all => all.indexOf(document.activeElement)"))
    assert reached >= set(range(fields.count()))


def test_example_is_asked_about_with_the_keyboard_alone(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    panel.get_by_role("button", name="A reader", exact=True).focus()
    page.keyboard.press("Enter")
    panel.locator(".verdict").wait_for()


@pytest.mark.parametrize("name", FILES)
def test_phone_needs_no_sideways_scrolling(page: Page, name: str) -> None:
    page.set_viewport_size(PHONE)
    panel = open_panel(page, name)
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
