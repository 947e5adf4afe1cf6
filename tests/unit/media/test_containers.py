"""The tables of what is read: a further line is met wherever formats are known, and no two lines contradict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from media.containers import CONTAINERS, DEMUXERS, Container, declared_container, mime_type, sniff
from tests.support.served import ROOT

# Each table gets one more line before anything reads it. Then all that knows formats says what it knows.
PROGRAM = """
import json, sys
from types import ModuleType

text = open("media/containers.py").read()
for table, line in (
    ("CONTAINERS = (\\n", 'Container("xyz", "audio/xyz", ("in_xyz",), (b"XyZ!",), "XYZ", (".xyz",), libsndfile=True),'),
    ("PICTURES = (\\n", 'PictureFormat("Fresh", (".fresh",), 7),'),
):
    assert text.count(table) == 1
    text = text.replace(table, table + line)
sys.modules["media.containers"] = ModuleType("media.containers")
exec(text, vars(sys.modules["media.containers"]))

from api.app import build_app
from api.middleware.observe import CONTENT_TYPES
from api.ui.routes import TAKES
from cli import reports
from media import audio, image, signatures
from tasks.heart_sound import TAKEN

document = build_app().openapi()
heart, voice, face = (document["paths"][path]["post"] for path in ("/upload_audio", "/api/detect-gender", "/predict"))
form = lambda one: json.dumps(one["requestBody"]["content"]["multipart/form-data"])
print(json.dumps([
    ["xyz", audio.NOT_AUDIO], ["xyz", TAKEN], ["XYZ", TAKES["audio"]["labels"]], [".xyz", TAKES["audio"]["accept"]],
    [".xyz", list(reports.SOUNDS)], ["audio/xyz", list(CONTENT_TYPES)], ["in_xyz", list(audio.DEMUXERS)],
    ["xyz", list(audio.BY_LIBSNDFILE)], ["xyz", [signatures.recognise(b"XyZ!" + bytes(20))]],
    ["xyz", document["components"]["schemas"]["VoiceRequest"]["properties"]["audioFormat"]["enum"]],
    ["xyz", json.dumps(heart["responses"]["400"])],
    ["XYZ", form(voice)], ["Fresh", form(face)],
    ["Fresh", TAKES["picture"]["labels"]], [".fresh", list(reports.PICTURES)], ["FRESH", image.FORMATS],
]))
"""


def test_a_further_line_is_met_wherever_formats_are_known(tmp_path: Path) -> None:
    variables = {"LOG_DIR": str(tmp_path), "DATA_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert [row for row in found if row[0] not in row[1]] == []


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.name)
def test_a_container_is_found_by_all_that_is_known_of_it(container: Container) -> None:
    assert {sniff(bytes(container.magic_at) + magic) for magic in container.magic} <= {container.name}
    names = (container.name, container.mime_type, *container.aliases)
    assert {declared_container(name) for name in names} == {container.name}
    assert {DEMUXERS[demuxer] for demuxer in container.demuxers} == {container}
    assert mime_type(container.name) == container.mime_type
    assert bool(container.label) == bool(container.suffixes)


def test_what_stands_behind_a_short_beginning_counts_before_it() -> None:
    assert sniff(b"ID3\4ftypM4A ") == "m4a"
