"""``mediaclassify``: the five questions about files, without a server."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from cli.__main__ import main
from cli.files import LocalFile, StandardInput, Url, expand
from cli.reports import SOUNDS
from tasks.questions import questions
from tests.support.served import DATA, ROOT
from tests.support.site_thread import LocalSite

COMMAND = (sys.executable, "-m", "cli")


def classify(
    *arguments: str | Path, status: int = 0, stdin: bytes | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs the command in the source tree."""
    variables = {**os.environ, "COLUMNS": "200", **environment}
    run = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        env=variables,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=120,
    )
    printed, complaints = run.stdout.decode(), run.stderr.decode()
    assert run.returncode == status, printed + complaints
    return subprocess.CompletedProcess(run.args, run.returncode, printed, complaints)


def lines(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.stdout.splitlines()]


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """The same in this process, which is quicker: exit status and lines."""
    status = main([str(argument) for argument in arguments])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("question", "file", "answer"),
    [
        ("voice-gender", "voices/male_1.flac", "male"),
        ("face-gender", "faces/male_1.jpg", "male"),
        ("heart-sound", "hearts/normal_1.pcm", "Normal"),
        ("audio-scene", "scenes/speech_1.flac", "speech"),
        ("ai-voice", "ai_voice/ai_ta_espeak.mp3", "AI_GENERATED"),
    ],
)
def test_each_question(question: str, file: str, answer: str) -> None:
    (found,) = lines(classify(question, DATA / file))
    assert found["file"] == str(DATA / file)
    assert found["answer"] == answer
    assert 0.5 < found["confidence"] <= 1
    if question == "ai-voice":
        assert set(found["members"]) == set(questions()[question].models)
        assert "jitter" in found["explanation"]
    else:
        assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.served
def test_the_answers_are_those_of_the_service(client: httpx.Client, voice: bytes) -> None:
    (found,) = lines(classify("voice-gender", DATA / "voices" / "male_1.flac"))
    served = {item["label"]: item["score"] for item in client.post("/api/detect-gender", files={"audio": voice}).json()}
    assert found["probabilities"] == pytest.approx(served, abs=1e-3)
    (heart,) = lines(classify("heart-sound", DATA / "hearts" / "murmur_1.pcm"))
    given = client.post("/upload_audio", content=(DATA / "hearts" / "murmur_1.pcm").read_bytes()).text
    name, percent = given.split(", ")
    assert (heart["answer"], heart["confidence"]) == (name, pytest.approx(float(percent) / 100, abs=2e-3))


def test_a_heart_sound_in_a_container_and_in_another_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "heart.raw"
    raw.write_bytes((DATA / "hearts" / "normal_1.pcm").read_bytes())
    status, found = in_process(capsys, "heart-sound", DATA / "hearts" / "normal_1.flac", raw, "--sample-rate", "8000")
    assert status == 0
    assert [set(item) >= {"answer", "problems"} for item in found] == [True, True]
    status, wrong = in_process(capsys, "heart-sound", raw, "--sample-width", "5")
    assert status == 1
    assert "sample_width must be 1, 2, 3 or 4" in wrong[0]["error"]


def test_what_makes_a_voice_hard_to_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples, rate = soundfile.read(DATA / "voices" / "male_1.flac")
    soundfile.write(tmp_path / "loud.wav", np.clip(20 * samples, -1, 1), rate)
    status, found = in_process(capsys, "voice-gender", DATA / "voices" / "male_1.flac", tmp_path / "loud.wav")
    assert status == 0
    assert [item["problems"] for item in found] == [[], ["clipped"]]


def test_a_file_that_fails_stops_no_other(tmp_path: Path) -> None:
    """In the order of the command line, with words, and an exit status that says that one has no answer."""
    shutil.copy(DATA / "voices" / "female_1.flac", tmp_path / "b.flac")
    (tmp_path / "a.wav").write_bytes(b"this is not audio")
    (tmp_path / "c.wav").write_bytes(b"")
    run = classify(
        "voice-gender", tmp_path / "a.wav", tmp_path / "none.wav", tmp_path / "b.flac", tmp_path / "c.wav", status=1
    )
    first, missing, good, empty = lines(run)
    assert "not audio" in first["error"]
    assert missing["error"] == "no such file or directory"
    assert good["answer"] == "female"
    assert empty["error"] == "the audio is empty"
    assert run.stderr == ""


def test_folders_and_patterns(tmp_path: Path) -> None:
    for name in ("b/two.wav", "a.FLAC", "notes.txt", "b/one.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    below = [LocalFile(tmp_path / name) for name in ("a.FLAC", "b/one.mp3", "b/two.wav")]
    assert list(expand([str(tmp_path)], SOUNDS)) == below
    assert list(expand([f"{tmp_path}/b/*.wav", str(tmp_path / "b")], SOUNDS)) == [below[2], below[1]]
    assert list(expand([f"{tmp_path}/**/*.mp3"], SOUNDS)) == [below[1]]
    named = [LocalFile(tmp_path / "notes.txt"), LocalFile(Path("gone*"))]
    assert list(expand([str(tmp_path / "notes.txt"), "gone*"], SOUNDS)) == named
    url = Url("HTTPS://example.org//a/clip.MP3?key=1#t")
    assert list(expand(["-", url.name, "-"], SOUNDS)) == [StandardInput(), url]
    assert url.suffix == ".mp3"


def test_a_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["voice-gender", str(DATA / "voices"), str(DATA / "hearts" / "README.md"), "--table"]) == 1
    shown = capsys.readouterr().out
    assert "female_1.flac" in shown
    assert re.search(r"female +│ +(?:9\d|100)\.\d%", shown)
    assert "not audio" in shown


def test_a_table_fits_80_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["ai-voice", str(DATA / "ai_voice" / "human_en.mp3"), "-t"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert len(shown.splitlines()) < 12
    assert "HUMAN" in shown


def test_lines_of_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column for each class; a file that fails before the first answer has its line too."""
    (tmp_path / "a, b.wav").write_bytes(b"this is not audio")
    voice = DATA / "voices" / "male_1.flac"
    assert main(["voice-gender", str(tmp_path / "a, b.wav"), str(voice), "-f", "csv"]) == 1
    failed, answered = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(answered) == [
        "file", "answer", "confidence", "error", "probabilities.female", "probabilities.male", "problems",
    ]  # fmt: skip
    assert (failed["file"], failed["answer"]) == (str(tmp_path / "a, b.wav"), "")
    assert "not audio" in failed["error"]
    assert (answered["file"], answered["answer"], answered["error"]) == (str(voice), "male", "")
    assert float(answered["probabilities.male"]) > 0.5


def test_csv_where_no_file_has_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["face-gender", str(tmp_path / "none.jpg"), "-f", "csv"]) == 1
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["error"] == "no such file or directory"


def test_standard_input() -> None:
    voice = (DATA / "voices" / "male_1.flac").read_bytes()
    run = classify("voice-gender", "-", DATA / "voices" / "female_1.flac", stdin=voice)
    assert [(line["file"], line["answer"]) for line in lines(run)] == [
        ("-", "male"), (str(DATA / "voices" / "female_1.flac"), "female"),
    ]  # fmt: skip
    (large,) = lines(classify("voice-gender", "-", stdin=bytes(3000), status=1, MAX_BODY_MB="0.002"))
    assert large["error"] == "standard input is larger than 2097 bytes"
    (empty,) = lines(classify("voice-gender", "-", stdin=b"", status=1))
    assert empty["error"] == "the audio is empty"


def test_raw_pcm_from_standard_input() -> None:
    heart = DATA / "hearts" / "murmur_1.pcm"
    (named,) = lines(classify("heart-sound", heart))
    (piped,) = lines(classify("heart-sound", "-p", "-", stdin=heart.read_bytes()))
    assert piped["probabilities"] == named["probabilities"]
    (faster,) = lines(classify("heart-sound", "-p", "-r", "32000", "-", stdin=heart.read_bytes()))
    assert faster["probabilities"] != named["probabilities"]


def test_addresses(site: LocalSite, voice: bytes) -> None:
    """Those of the public alone, unless the configuration says otherwise, as the service does."""
    url = site.add_file("/clip.flac", voice)
    (refused,) = lines(classify("voice-gender", url, status=1))
    assert refused["error"] == "the URL's host is not a public address"
    (found,) = lines(classify("voice-gender", url, ALLOWED_PRIVATE_HOSTS="127.0.0.1"))
    assert (found["file"], found["answer"]) == (url, "male")
    (large,) = lines(classify("voice-gender", url, status=1, MAX_BODY_MB="0.001", ALLOWED_PRIVATE_HOSTS="127.0.0.1"))
    assert large["error"] == "the file at the URL is larger than 1048 bytes"


def test_what_starts_does_not_load_what_it_does_not_need() -> None:
    """Each of these takes 0.2 s or more to import."""
    script = "import sys; from cli.__main__ import main; main(['voice-gender', '--help'])"
    probe = f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {script}"
    run = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, text=True, capture_output=True, check=True, timeout=60
    )
    assert "usage: mediaclassify voice-gender" in run.stdout
    assert not {"openvino", "redis", "aiohttp", "fastapi", "torch", "cli.ask"} & set(run.stderr.split())


def read_terminal(terminal: int) -> str:
    """What is shown until the command has ended.

    It is read while the command runs: a terminal holds 4 KiB that are not read yet, and then the writer waits.
    """
    shown = b""
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError as error:  # how Linux tells the end of a pseudo-terminal
        if error.errno != errno.EIO:
            raise
    return shown.decode()


@pytest.mark.timeout(60)
def test_progress_is_shown_to_a_person_only() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "voice-gender", "tests/data/voices"], cwd=ROOT, env={**os.environ, "TERM": "xterm"},
        stdout=subprocess.PIPE, stderr=theirs, text=True,
    ) as run:  # fmt: skip
        os.close(theirs)
        shown = read_terminal(ours)
        printed, _ = run.communicate()
    os.close(ours)
    assert run.returncode == 0
    assert "voice-gender" in shown
    assert "3/3" in shown
    assert len(printed.splitlines()) == 3


@pytest.mark.parametrize(
    "arguments", [[], ["voice-gender"], ["weather", "a.wav"], ["voice-gender", "tests/data/faces"]]
)
def test_a_wrong_command(arguments: list[str]) -> None:
    assert "usage: mediaclassify" in classify(*arguments, status=2).stderr


def test_a_setting_that_cannot_be_right_is_named() -> None:
    run = classify("voice-gender", "a.wav", status=1, MAX_AUDIO_SECONDS="long")
    assert run.stderr.startswith("configuration error: MAX_AUDIO_SECONDS: ")
    assert len(run.stderr.splitlines()) == 1


def test_limits_are_those_of_the_service() -> None:
    (found,) = lines(classify("voice-gender", DATA / "voices" / "male_1.flac", status=1, MAX_AUDIO_SECONDS="1"))
    assert "longer than" in found["error"]


def test_nothing_is_written_and_no_framework_is_loaded(tmp_path: Path) -> None:
    script = (
        "import sys; from cli.__main__ import main; "
        f"status = main(['heart-sound', {str(DATA / 'hearts' / 'normal_1.flac')!r}]); "
        "print(*({'torch', 'transformers', 'keras', 'tensorflow', 'scipy', 'sklearn'} & set(sys.modules))); "
        "sys.exit(status)"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert run.stdout.splitlines()[1] == ""
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    script = f"set -o pipefail; {sys.executable} -m cli voice-gender tests/data/voices | head -1"
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, text=True, capture_output=True, check=False, timeout=60)
    assert run.stderr == ""
    assert len(run.stdout.splitlines()) == 1
