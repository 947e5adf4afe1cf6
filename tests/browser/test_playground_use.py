"""What a person does with an answer: copy it or its request, download, compare, listen, look closer."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.browser.panels import FILES, ask, ask_about, click_example, open_panel
from tests.support.audio_bytes import wav
from tests.support.programs import program
from tests.support.served import DATA, KEY, wait_for
from tests.support.site_thread import LocalSite

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.served]

RIGHT = {
    "Voice gender": "male",
    "Face gender": "female",
    "Heart": "Normal",
    "Scene": "music",
    "AI voice": "AI_GENERATED",
}
FORMS = ("curl", "Python", "TypeScript")


def copied(page: Page, answer: Locator, form: str) -> str:
    """Presses a button of copying; what is then in the clipboard is also what the page shows."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer.get_by_role("button", name=re.compile(f"^Copy.* {form}$")).click()
    expect(answer.locator(".use [role=status]")).to_contain_text(f"Copied as {form}")
    text: str = page.evaluate("navigator.clipboard.readText()")
    assert answer.locator(".use pre").text_content() == text
    return text


def run(form: str, text: str, folder: Path) -> str:
    """Runs a copied request as it is; the key is in the environment."""
    if form == "curl":
        command = ["bash", "-c", f"set -eo pipefail; {text}"]
    elif form == "Python":
        command = [sys.executable, "-c", text]
    else:
        (folder / "ask.mjs").write_text(text)
        command = [program("node"), "ask.mjs"]
    environment = os.environ | {"API_KEY": KEY}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("name", FILES)
def test_request_is_copied_for_use_elsewhere_and_works_as_it_is(page: Page, name: str, tmp_path: Path) -> None:
    file, _ = FILES[name]
    odd = f'it\'s "{name}" $1 {file.name}'  # what a shell and two languages must quote
    (tmp_path / odd).write_bytes(file.read_bytes())
    answer = ask_about(open_panel(page, name), tmp_path / odd)
    for form in FORMS:
        text = copied(page, answer, form)
        assert KEY not in text
        assert RIGHT[name] in run(form, text, tmp_path), text


def test_request_of_an_example_gets_the_example_first(page: Page, tmp_path: Path) -> None:
    answer = click_example(open_panel(page, "Voice gender"), "A reader")
    assert "female" in run("curl", copied(page, answer, "curl"), tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_request_about_an_address_is_copied(page: Page, site: LocalSite, tmp_path: Path, form: str) -> None:
    panel = open_panel(page, "Scene")
    address = site.add_file("/it's rain.flac".replace(" ", "%20"), (DATA / "scenes" / "noise_1.flac").read_bytes())
    panel.get_by_label("or the address of an audio file").fill(address)
    assert "noise" in run(form, copied(page, ask(panel), form), tmp_path)


def test_answer_is_copied_and_downloaded_as_json(page: Page) -> None:
    answer = click_example(open_panel(page, "Scene"), "All four, 15 s")
    text = copied(page, answer, "JSON")
    found = json.loads(text)
    assert found["prediction"] == "speech"
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert [part["start_s"] for part in found["segments"]] == pytest.approx([0, 2.5, 5, 7.5, 10, 12.5])
    with page.expect_download() as started:
        answer.get_by_role("button", name="Download").click()
    assert started.value.suggested_filename == "mixed.audio-scene.json"
    assert started.value.path().read_text() == text


def test_answers_of_the_session_are_kept_and_compared(page: Page) -> None:
    panel = open_panel(page, "Voice gender")
    for title in ("A reader", "Another reader"):
        click_example(panel, title)
        expect(panel.locator(".head .of")).to_have_text(title)
    panel = page.get_by_role("tabpanel", name="Heart", exact=True)
    page.get_by_role("tab", name="Heart", exact=True).click()
    click_example(panel, "A murmur")
    session = page.get_by_role("region", name="This session")
    assert session.locator(".scroll").first.locator("tbody tr").count() == 3
    for title in ("A murmur", "A reader", "Another reader"):  # a voice begins a comparison of voices
        session.get_by_label(f"Compare {title}").check()
    table = session.get_by_role("region", name="Comparison")
    assert table.locator("thead th").all_inner_texts() == ["Class", "A reader", "Another reader"]
    shares = [
        [float(text.split()[0]) for text in row.locator("td").all_inner_texts()]
        for row in table.locator("tbody tr").all()
    ]
    assert np.sum(shares, axis=0) == pytest.approx([100, 100], abs=0.2)
    session.get_by_role("button", name="A reader", exact=True).click()
    shown = page.get_by_role("tabpanel", name="Voice gender", exact=True)
    assert shown.locator(".head .of").inner_text() == "A reader"
    assert shown.locator(".chosen .name").all_inner_texts() == ["A reader"]


def test_table_of_several_files_is_exported_as_csv(page: Page, tmp_path: Path) -> None:
    panel = open_panel(page, "Voice gender")
    formula = tmp_path / "=1+1,x.flac"
    formula.write_bytes((DATA / "voices" / "male_1.flac").read_bytes())
    panel.get_by_label("Choose files").set_input_files([DATA / "voices" / "female_1.flac", formula])
    answer = ask(panel)
    with page.expect_download() as started:
        answer.get_by_role("button", name="Export as CSV").click()
    rows = list(csv.DictReader(started.value.path().read_text().splitlines()))
    assert [(row["file"], row["prediction"]) for row in rows] == [("female_1.flac", "female"), ("'=1+1,x.flac", "male")]
    for row in rows:
        assert float(row["female"]) + float(row["male"]) == pytest.approx(1, abs=1e-4)
        assert row["certainty"] in ("sure", "likely", "uncertain")


@pytest.mark.parametrize("picture", ["Waveform", "Mel spectrogram", "Music over time"])
def test_a_click_plays_from_there(page: Page, picture: str) -> None:
    answer = click_example(open_panel(page, "Scene"), "All four, 15 s")
    place = answer.get_by_role("img", name=picture)
    box = place.bounding_box()
    assert box
    place.click(position={"x": 0.4 * box["width"], "y": box["height"] / 2})
    player = answer.locator("audio")
    wait_for(lambda: player.evaluate("player => player.currentTime") >= 5.9)
    assert float(player.evaluate("player => player.currentTime")) < 12
    assert not player.evaluate("player => player.paused")
    played = "strip => Number(strip.style.getPropertyValue('--played'))"  # told by the player now and then
    wait_for(lambda: answer.locator(".strip").evaluate(played) == pytest.approx(0.4, abs=0.3))


def test_numbers_are_shown_on_hover_and_axes_have_units(page: Page) -> None:
    answer = click_example(open_panel(page, "Scene"), "All four, 15 s")
    for picture, expected in {
        "Waveform": r"\d+\.\d\d s: peak -\d+\.\d dB",
        "Mel spectrogram": r"\d+\.\d\d s, \d+ Hz: \d+ dB below the loudest",
        "Music over time": r"2\.5 to 5\.0 s: Music \d+\.\d %",
    }.items():
        place = answer.get_by_role("img", name=picture)
        box = place.bounding_box()
        assert box
        place.hover(position={"x": 0.25 * box["width"], "y": box["height"] / 2})
        expect(answer.locator(".readout")).to_have_text(re.compile(expected))
    labels = answer.locator(".axes text").all_text_contents()
    assert sum(label.endswith(" dB") for label in labels) == 3
    assert "8 kHz" in labels
    assert "500 Hz" in labels
    assert answer.locator(".ticks text").first.text_content() == "0 s"


def test_nine_minutes_are_lanes_that_can_be_zoomed_into(page: Page) -> None:
    """Cells of a lane are wide enough to be told apart, and each window has its own where one looks closer."""
    rng = np.random.default_rng(0)
    noise = np.concatenate([0.1 * rng.normal(size=16_000 * 45), np.zeros(16_000 * 45)])
    file: Any = {"name": "long.wav", "mimeType": "audio/wav", "buffer": wav(np.tile(noise, 6)[: 16_000 * 538], 16_000)}
    answer = ask_about(open_panel(page, "Scene"), file)
    windows = int(re.findall(r"(\d+) windows", answer.inner_text())[0])
    assert windows > 200
    lane = answer.get_by_role("img", name="Noise over time")

    def narrowest() -> float:
        return float(
            lane.evaluate("lane => Math.min(...[...lane.children].map(cell => cell.getBoundingClientRect().width))")
        )

    assert lane.locator("rect").count() <= 100
    assert narrowest() > 3
    for _ in range(3):
        answer.get_by_role("button", name="Zoom in").click()
    assert lane.locator("rect").count() == windows
    assert narrowest() > 6
    view = answer.get_by_role("region", name="Pictures of the recording")
    assert view.evaluate("view => view.scrollWidth / view.clientWidth") == pytest.approx(8, abs=0.1)
    assert "67.3 s of 538 s in sight" in answer.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    answer.get_by_role("button", name="Whole").click()
    assert view.evaluate("view => view.scrollWidth === view.clientWidth")
