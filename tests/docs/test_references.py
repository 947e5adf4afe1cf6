"""Clients of the five reference services move over by changing their base URL: the calls of their own documents, run.

The calls stand in ``docs/migration``, each with the address of ``make serve``.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api.openapi import ADDRESS
from core.settings import Settings
from tests.support.audio_bytes import speech, tone, wav
from tests.support.markdown import blocks, shown_by
from tests.support.served import DATA, KEY, ROOT, Bundle
from tests.support.site_thread import LocalSite

PAGES = sorted((ROOT / "docs" / "migration").glob("*.md"))
REMOTE = "https://www.learningcontainer.com/download/wav-file-sample/?wpdmdl=1679&refresh=68814a6666d771753303654"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A folder with the files that the documents name."""
    for name in ("path/to/your/sample.wav", "absolute/path/to/audio.wav"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(wav(speech(2.0), 16_000))
    (tmp_path / "female.jpg").write_bytes((DATA / "faces" / "female_1.jpg").read_bytes())
    (tmp_path / "your_audio_file.pcm").write_bytes((DATA / "hearts" / "normal_1.pcm").read_bytes())
    return tmp_path


def run(page: str, work: Path, replaced: dict[str, str]) -> str:
    """Runs the commands of a page as they stand, with another address and what the placeholders stand for."""
    script = "\n".join(block.text for block in blocks(ROOT / "docs" / "migration" / f"{page}.md", "sh"))
    for old, new in replaced.items():
        assert old in script, old
        script = script.replace(old, new)
    # After each answer a line of its own with its status.
    script = re.sub(r"^curl ", 'curl -sS -w "\\\\n%{http_code}\\\\n" ', script, flags=re.MULTILINE)
    done = subprocess.run(["bash", "-ec", script], cwd=work, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def answers(output: str) -> list[Any]:
    """The bodies, all of status 200; JSON where they are."""
    *parts, rest = re.split(r"\n(\d{3})\n", output)
    assert rest == ""
    assert set(parts[1::2]) == {"200"}, output
    return [json.loads(body) if body.strip()[:1] in "[{" else body for body in parts[::2]]


@pytest.mark.served
def test_voice_gender(bundle: Bundle, work: Path) -> None:
    replaced = {ADDRESS: bundle.url, "/path/to/your": f"{work}/path/to/your", "/absolute": f"{work}/absolute"}
    health, first, second = answers(run("voice-gender", work, replaced))
    assert health == "OK"
    assert first == second
    assert [set(item) for item in first] == [{"score", "label"}] * 2


@pytest.mark.served
def test_voice_gender_from_an_express_backend(bundle: Bundle, work: Path, node_modules: None) -> None:
    command = ["node", "tests/support/express_upload.mjs", bundle.url, str(work / "path/to/your/sample.wav")]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    given = json.loads(done.stdout)
    assert given["fetch"]["status"] == given["axios"]["status"] == 200
    assert given["fetch"]["body"] == given["axios"]["body"]


@pytest.mark.served
def test_face_gender(bundle: Bundle, work: Path) -> None:
    (answer,) = answers(run("face-gender", work, {ADDRESS: bundle.url}))
    assert answer["success"] is True
    assert answer["predictions"]["class"] in {"female", "male"}


@pytest.mark.served
def test_heart_sound(bundle: Bundle, work: Path) -> None:
    uploaded, latest = answers(run("heart-sound", work, {ADDRESS: bundle.url}))
    assert uploaded == f"{latest['class']}, {latest['confidence']}"


@pytest.mark.served
def test_audio_scene(bundle: Bundle, work: Path, site: LocalSite) -> None:
    url = site.add_file("/download/wav-file-sample/", wav(tone(16_000, 2.0), 16_000))
    (answer,) = answers(run("audio-scene", work, {ADDRESS: bundle.url, REMOTE: f"{url}?wpdmdl=1679&refresh=1"}))
    assert answer["status"] == "success"
    assert set(answer["data"]) == {"duration", "sample_rate", "channels", "classification"}


@pytest.mark.served
def test_voice_detection(bundle: Bundle, work: Path) -> None:
    audio = base64.b64encode((DATA / "ai_voice" / "human_en.mp3").read_bytes()).decode()
    replaced = {ADDRESS: bundle.url, 'your_secret_api_key" \\': f'{KEY}" \\', "<base64_audio_here>": audio}
    (answer,) = answers(run("voice-deepfake", work, replaced))
    assert set(answer) == {"status", "language", "classification", "confidenceScore", "explanation"}
    assert (work / ".env").read_text().split() == ["API_KEY=your_secret_api_key"]


@pytest.mark.parametrize("kept", ["PORT=8000\nAPI_KEY=mine\n", "PORT=8000"])
def test_a_settings_file_that_is_there_keeps_what_it_says(tmp_path: Path, kept: str) -> None:
    (tmp_path / ".env").write_text(kept)
    command = blocks(ROOT / "docs" / "migration" / "voice-deepfake.md", "sh")[0].text
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, timeout=60)
    settings = Settings(_env_file=tmp_path / ".env")
    assert settings.port == 8000
    assert settings.keys == ("mine" if "mine" in kept else "your_secret_api_key",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_says_is_shown_by_tests_that_exist(page: Path) -> None:
    """Each line of its tables names one."""
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ") and "shown by" not in line]
    named = shown_by(page)
    assert len([row for row in rows if not row.startswith("| ---")]) >= len(named) >= 8
    for row in rows:
        assert row.startswith("| ---") or re.search(r"`tests/[\w/]+\.py::test_\w+` \|$", row), row
    for name in named:
        file, _, test = name.partition("::")
        assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), name
