"""Entries of the model store under a running bundle: each runner says what it serves, and the API goes by that."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from models import registry
from models.calibration import Calibration
from tests.support.heart_bytes import heartbeat, pcm
from tests.support.served import ROOT, Bundle, serve, wait_for
from tests.support.shapes import assert_error
from tests.support.site_thread import LocalSite

pytestmark = pytest.mark.served

SAVE = """
import sys
from pathlib import Path
from models import registry, store
print(store.save(registry.specs()[sys.argv[1]], Path(sys.argv[2])))
"""


def save_another(bundle: Bundle, name: str, folder: Path) -> str:
    """Saves weights that answer a little more firmly, as `make save` does after a training; gives the tag."""
    weights = folder / "weights"
    shutil.copytree(registry.weights(name), weights)
    old = Calibration.load(weights)
    Calibration(old.temperature * 0.9, old.bias).save(weights)
    record = json.loads((weights / "export.json").read_text())
    record["sha256"]["calibration.json"] = hashlib.sha256((weights / "calibration.json").read_bytes()).hexdigest()
    (weights / "export.json").write_text(json.dumps(record))
    home = bundle.folder / "bentoml"
    latest = home / "models" / name / "latest"
    text = latest.read_text()
    latest.unlink()  # it is a link to the one of all tests
    latest.write_text(text)
    return subprocess.run(
        [sys.executable, "-c", SAVE, name, str(weights)],
        cwd=ROOT, env=os.environ | {"BENTOML_HOME": str(home)}, text=True, stdout=subprocess.PIPE, check=True,
    ).stdout.strip()  # fmt: skip


def kill(bundle: Bundle, service: str) -> None:
    """Ends a service's processes at once, and waits until others have taken their place."""
    before = bundle.workers(service)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: set(bundle.workers(service)) - set(before), 60)
    bundle.wait_until_ready()


@pytest.fixture(scope="module")
def changing(store: Path) -> Iterator[Bundle]:
    """A bundle whose entries the tests change, each that of another model."""
    with serve(store, {}) as running:
        yield running


def test_cache_and_header_follow_the_entry_that_a_runner_serves(
    changing: Bundle, site: LocalSite, voice: bytes, tmp_path: Path
) -> None:
    """Saved under a running server, the new entry answers when its runner was started again, and not before."""
    url = site.add_file("/entries.flac", voice)

    def asked(client: httpx.Client) -> tuple[str, int]:
        response = client.post("/analyze-audio", json={"audio_url": url})
        assert response.status_code == 200
        return response.headers["x-model"], site.hits("/entries.flac")

    with changing.client() as client:
        (old, _), again = asked(client), asked(client)
        assert again == (old, 1)
        new = save_another(changing, "audio_scene", tmp_path)
        assert new != old
        kill(changing, "MediaClassifier")
        assert asked(client) == (old, 1)  # the API was started again, the runner was not
        kill(changing, "AudioScene")
        assert [asked(client), asked(client)] == [(new, 2), (new, 2)]


def test_a_runner_refuses_an_entry_that_is_damaged(changing: Bundle, voice: bytes) -> None:
    """One line says why, its own route alone suffers, and saving the entry again is all that is needed."""
    bundle = changing
    printed = len(bundle.stderr)
    with bundle.client() as client:
        folder = bentoml_path(bundle, "voice_gender")
        weights = next(folder.rglob("model.bin"))
        whole = weights.read_bytes()
        weights.unlink()  # it is a link to the one of all tests
        weights.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 20) + whole[len(whole) * 11 // 20 :])
        for pid in bundle.workers("VoiceGender"):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: refusals(bundle), 60)
        assert_error(client.get("/readyz"), 503, "voice_gender")
        assert_error(client.post("/api/detect-gender", files={"audio": voice}), 503)
        assert client.post("/upload_audio", content=pcm(heartbeat())).status_code == 200
        (line, *_) = refusals(bundle)
        assert line["level"] == "CRITICAL"
        assert "openvino/model.bin" in line["message"]
        assert "Traceback" not in bundle.stderr[printed:]
        weights.write_bytes(whole)
        bundle.wait_until_ready()


def bentoml_path(bundle: Bundle, name: str) -> Path:
    """The folder of the entry that is served."""
    models = bundle.folder / "bentoml" / "models" / name
    return models / (models / "latest").read_text()


def refusals(bundle: Bundle) -> list[dict[str, Any]]:
    """The lines of the log that say that a runner does not start."""
    return [line for line in bundle.log_lines() if "does not start" in line["message"]]
