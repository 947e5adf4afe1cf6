"""What the playground shows of an answer (docs/contract.md, Service surface)."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pytest

from core.settings import VOTING
from dsp.features import FEATURE_NAMES
from models.face_gender import SPEC
from models.spec import ImageInput
from tests.browser.panels import FILES, ask_about, click_example, open_panel, percents
from tests.support.audio_bytes import wav

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

# How much there is to see of a canvas: its size and the number of its colours.
SEEN_ON_CANVAS = """canvas => {
    const { width, height } = canvas;
    const pixels = new Uint32Array(canvas.getContext('2d').getImageData(0, 0, width, height).data.buffer);
    return [width, height, new Set(pixels).size];
}"""

# The colour of the badge where a verdict is so certain.
COLOUR_AS = """(head, level) => {
    head.className = `head ${level}`;
    return getComputedStyle(head.querySelector('.badge')).color;
}"""


@pytest.mark.parametrize("name", FILES)
def test_file_gets_a_bar_for_each_class_and_its_model(page: Page, client: httpx.Client, name: str) -> None:
    file, classes = FILES[name]
    answer = ask_about(open_panel(page, name), file)
    shares = percents(answer.locator(".bars").first)
    verdict = answer.locator(".verdict").inner_text()
    assert verdict in classes
    if name == "AI voice":  # whose verdict is that of a threshold
        assert set(shares) == {"AI score"}
    else:
        assert set(shares) == classes
        assert sum(shares.values()) == pytest.approx(100, abs=0.3)
        assert verdict == max(shares, key=lambda label: shares[label])
    models = answer.get_by_role("list", name="Models that answered")
    cards = models.get_by_role("link").all()
    assert len(cards) == models.locator("code").count() == (3 if name == "AI voice" else 1)
    for card in cards:
        assert "Intended use" in client.get(card.get_attribute("href") or "").text
    assert re.fullmatch(r"[a-z_0-9]+:[0-9a-f]{16}", models.locator("code").first.inner_text())


@pytest.mark.parametrize("name", [name for name in FILES if name != "Face gender"])
def test_sound_is_shown_as_the_model_reads_it(page: Page, name: str) -> None:
    answer = ask_about(open_panel(page, name), FILES[name][0])
    points = answer.get_by_role("img", name="Waveform").locator("polygon").get_attribute("points") or ""
    assert len(points.split()) > 500
    width, height, colours = answer.locator("mel-picture canvas").evaluate(SEEN_ON_CANVAS)
    assert (width > 200, height >= 16, colours > 50) == (True, True, True)


def settled(*parts: Locator) -> list[FloatRect]:
    """Where parts of a page are, once the page no longer moves."""
    before: list[FloatRect | None] = []
    for _ in range(100):
        found = [part.bounding_box() for part in parts]
        if found == before and None not in found:
            return [box for box in found if box]
        before = found
        time.sleep(0.1)
    pytest.fail("the page moves on and on")


def test_face_is_marked_and_cut_out(page: Page) -> None:
    answer = ask_about(open_panel(page, "Face gender"), FILES["Face gender"][0])
    picture, face = settled(
        answer.get_by_role("img", name="The picture"),
        answer.get_by_role("img", name="The face that was found").locator("rect"),
    )
    assert picture["x"] < face["x"] < face["x"] + face["width"] < picture["x"] + picture["width"]
    assert picture["y"] < face["y"] < face["y"] + face["height"] < picture["y"] + picture["height"]
    crop = answer.get_by_role("img", name="The face, upright and cut out")
    assert isinstance(SPEC.input, ImageInput)
    assert crop.evaluate("image => image.decode().then(() => image.naturalWidth)") == SPEC.input.size


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
    together = percents(answer.locator(".bars").first)["AI score"]
    votes = percents(answer.locator(".votes .bars"))
    weights = [float(re.findall(r"×([\d.]+)", name)[0]) for name in votes]
    assert weights == list(VOTING["compact"].weights)
    score = sum(weight * vote for weight, vote in zip(weights, votes.values(), strict=True))
    assert score == pytest.approx(together, abs=0.11)
    threshold = 100 * VOTING["compact"].threshold
    assert answer.get_by_role("img", name=f"Threshold at {threshold:.1f} %").is_visible()
    assert float(answer.locator(".mark line").get_attribute("x1") or "nan") == pytest.approx(threshold)
    assert answer.locator(".verdict").inner_text() == ("AI-generated" if together > threshold else "Human")
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


@pytest.mark.parametrize(
    ("name", "title", "level"),
    [
        ("Voice gender", "A reader", "sure"),
        ("Scene", "All four, 15 s", "uncertain"),
        ("AI voice", "A person, English", None),
    ],
)
def test_certainty_is_said_in_words_and_colour(page: Page, name: str, title: str, level: str | None) -> None:
    answer = click_example(open_panel(page, name), title)
    head = answer.locator(".head")
    said = head.locator(".badge").inner_text()
    assert said in ("sure", "likely", "uncertain")
    assert said == (level or said)
    fill = answer.locator(".bars li[class]:not([class='']) meter").first
    assert said in (fill.locator("xpath=ancestor::li").get_attribute("class") or "")
    colours = {head.evaluate(COLOUR_AS, other) for other in ("sure", "likely", "uncertain")}
    assert len(colours) == 3


def test_screen_readers_are_told_the_answer_itself(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    click_example(panel, "A reader")
    said = panel.locator("> [role=status]").text_content() or ""
    assert re.fullmatch(r"Is this voice male or female\? Female: sure, \d+\.\d %\.", said)


def test_recording_that_is_hard_to_judge_gets_advice(page: Page) -> None:
    hiss = wav(0.0004 * np.random.default_rng(0).normal(size=4000), 2000)
    answer = ask_about(open_panel(page, "Heart"), {"name": "quiet.wav", "mimeType": "audio/wav", "buffer": hiss})
    advice = answer.locator(".problems").inner_text()
    assert "ten seconds or more" in advice
    assert answer.locator(".badge").first.inner_text() != "sure"


def test_examples_stand_beside_their_truth_and_are_compared_with_it(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    rows = [row.inner_text().split("\n") for row in panel.locator(".examples li").all()]
    assert rows == [["A reader", "Female"], ["Another reader", "Male"]]
    assert "In truth: Female. The answer is right." in click_example(panel, "A reader").inner_text()


def test_what_changes_over_time_is_listed(page: Page) -> None:
    answer = click_example(open_panel(page, "Scene"), "All four, 15 s")
    parts = [part.split(" s ")[1] for part in answer.locator(".changes li").all_inner_texts()]
    assert parts == ["Speech", "Music", "Noise", "Silence", "Speech"]
