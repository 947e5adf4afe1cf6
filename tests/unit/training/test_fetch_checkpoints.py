"""Published checkpoints, from a hub or a folder into the store, and served: small random ones in their layout."""

from __future__ import annotations

import base64
import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import bentoml
import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from torch.nn import functional

from engine.native import NativeEngine
from models import registry
from tests.support.fetched import FACES, predictor_of, refusal
from tests.support.hub import COMMIT, Hub, Repository, serve_hub
from tests.support.served import DATA, KEY, ROOT, Bundle, serve
from tests.support.site_thread import LocalSite
from training import examples, fetch
from training.data.download import Downloader
from training.published import hub as published_hub
from training.published import layout
from training.published.importing import Source, import_checkpoint

NAMES = ("voice_gender", "deepfake_encoder", "audio_scene", "face_gender")
REPO = "publisher/voice-gender"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint for each model that a published one may replace."""
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: layout.write(name, folder / name, small=True) for name in NAMES}


@pytest.fixture(scope="module")
def tags(checkpoints: dict[str, Path]) -> dict[str, str]:
    """All of them imported, each from its folder, by the command; the tags of their entries."""
    imported = {}
    for name, origin in checkpoints.items():
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            assert fetch.main([name, "--from", str(origin), *(FACES if name == "face_gender" else [])]) == 0
        imported[name] = printed.getvalue().strip()
    return imported


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the voice gender checkpoint, to be changed by a test."""
    return Path(shutil.copytree(checkpoints["voice_gender"], tmp_path / "checkpoint"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """An empty hub, and an empty cache."""
    with serve_hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", running.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_ASSETS_CACHE", str(tmp_path / "cache"))
        yield running


def change(path: Path, **fields: Any) -> None:
    """Changes fields of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def metadata(tag: str) -> dict[str, Any]:
    """What the store says of an entry."""
    return dict(bentoml.models.get(tag).info.metadata)


@pytest.mark.parametrize("name", NAMES)
def test_from_a_folder(name: str, checkpoints: dict[str, Path], tags: dict[str, str]) -> None:
    recorded, predictor = metadata(tags[name]), predictor_of(name, tags[name])
    assert recorded["origin"] == checkpoints[name].name
    assert recorded["max_probability_difference"] <= 0.01
    assert set(recorded["labels"].values()) == set(predictor.spec.classes)
    clips = examples.items(predictor.spec)
    outcomes = predictor.answer(clips)
    assert {outcome.kind for outcome in outcomes} == {"ok"}
    assert all(sum(outcome.probabilities) == pytest.approx(1, abs=1e-4) for outcome in outcomes)
    native = predictor_of(name, tags[name], engine="native", device="cpu").answer(clips)
    expected = [outcome.probabilities for outcome in native]
    np.testing.assert_allclose([outcome.probabilities for outcome in outcomes], expected, atol=0.01)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "face_gender"])
def test_the_native_engine_holds_a_transformer_in_16_bits(name: str, tags: dict[str, str]) -> None:
    exact = predictor_of(name, tags[name], engine="native", device="cpu")
    reduced = predictor_of(name, tags[name], engine="native", device="cpu", precision="bf16")
    assert isinstance(reduced.engine, NativeEngine)
    readout: Any = reduced.engine.network.network
    assert reduced.engine.description == "native-cpu-bf16"
    assert {weight.dtype for weight in readout.parameters()} == {torch.bfloat16}
    clips = examples.items(exact.spec)
    attention = functional.scaled_dot_product_attention
    with patch.object(functional, "scaled_dot_product_attention", wraps=attention) as fused:
        both = [[outcome.probabilities for outcome in one.answer(clips)] for one in (exact, reduced)]
    assert fused.called
    assert 0 < np.abs(np.array(both[0]) - np.array(both[1])).max() < 0.02


def test_from_a_hub(checkpoints: dict[str, Path], hub: Hub, tmp_path: Path) -> None:
    """The command as it is typed."""
    hub.repositories[REPO] = Repository(checkpoints["voice_gender"])
    command = [sys.executable, "-m", "training.fetch", "voice_gender", "--from", REPO, "--revision", "main"]
    variables = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    ended = subprocess.run(command, cwd=ROOT, env=variables, text=True, capture_output=True, timeout=250, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "model.safetensors: 100%" in ended.stderr, "no progress was shown"
    assert ended.stdout.startswith("voice_gender-published:")
    recorded = metadata(ended.stdout.strip())
    assert recorded["origin"] == REPO
    assert recorded["revision"] == COMMIT
    assert recorded["licence"] == "apache-2.0"
    assert recorded["labels"] == {"female": "female", "male": "male"}
    assert len(recorded["files"]["model.safetensors"]) == 64


def test_a_broken_download_goes_on_where_it_stopped(
    checkpoints: dict[str, Path], hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(published_hub, "Downloader", functools.partial(Downloader, pause_s=0.0))
    repository = hub.repositories[REPO] = Repository(checkpoints["voice_gender"], break_at=45_000, failing=True)
    assert "goes on with it" in refusal(capsys, "voice_gender", "--from", REPO)
    repository.failing, repository.break_at = False, 0
    hub.ranges.clear()
    assert fetch.main(["voice_gender", "--from", REPO]) == 0
    assert hub.ranges == [("model.safetensors", 45_000)], "the second run asks for the rest of the weights only"


def test_the_commit_stays_until_another_is_asked_for(
    checkpoints: dict[str, Path], hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hub whose newest commit has moved on, with the same files."""
    repo = "publisher/pinned"
    repository = hub.repositories[repo] = Repository(checkpoints["voice_gender"])

    def fetched(*arguments: str) -> str:
        assert fetch.main(["voice_gender", "--from", repo, *arguments]) == 0
        return str(metadata(capsys.readouterr().out.strip())["revision"])

    assert fetched() == COMMIT
    repository.head = "f" * 40
    assert fetched() == COMMIT
    assert fetched("--revision", "main") == repository.head


def test_what_a_hub_does_not_have(checkpoints: dict[str, Path], hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no folder, file or hub repository" in refusal(capsys, "voice_gender", "--from", "publisher/nothing")
    hub.repositories[REPO] = Repository(checkpoints["voice_gender"])
    assert "no revision v9" in refusal(capsys, "voice_gender", "--from", REPO, "--revision", "v9")


def test_a_hub_that_is_not_there(hub: Hub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "goes on with it" in refusal(capsys, "voice_gender", "--from", REPO)


def test_a_file_that_is_not_what_the_hub_describes_is_removed(
    checkpoints: dict[str, Path], hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (checkpoints["voice_gender"] / "model.safetensors").stat().st_size
    wrong = {"lfs": {"sha256": "0" * 64, "size": size, "pointerSize": 134}}
    repository = hub.repositories[REPO] = Repository(checkpoints["voice_gender"], changes={"model.safetensors": wrong})
    assert "model.safetensors is not the file" in refusal(capsys, "voice_gender", "--from", REPO)
    assert not list((tmp_path / "cache").rglob("*/model.safetensors"))
    repository.changes = {"config.json": {"blobId": "0" * 40}}
    assert "config.json is not the file" in refusal(capsys, "voice_gender", "--from", REPO)


def test_without_space_nothing_is_downloaded(
    checkpoints: dict[str, Path], hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = {"model.safetensors": {"size": 10**16}}
    hub.repositories[REPO] = Repository(checkpoints["voice_gender"], changes=huge)
    assert "GiB of disk" in refusal(capsys, "voice_gender", "--from", REPO)
    assert not (tmp_path / "cache").exists()


def test_pickled_weights_are_refused(folder: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    hub.repositories[REPO] = Repository(folder)
    for origin in (REPO, str(folder)):
        assert "only safetensors" in refusal(capsys, "voice_gender", "--from", origin)


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_code_of_its_own_is_refused(folder: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / file, auto_map={"AutoModelForAudioClassification": "modeling.Net"})
    (folder / "modeling.py").write_text("raise SystemExit('it was run')")
    assert "code of its own" in refusal(capsys, "voice_gender", "--from", str(folder))


def test_unknown_labels_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(folder / "config.json", id2label={"0": "LABEL_0", "1": "male"})
    message = refusal(capsys, "voice_gender", "--from", str(folder))
    assert "unknown labels: 'LABEL_0'" in message
    assert "woman" in message
    change(folder / "config.json", id2label={"0": "M", "1": "male"})
    assert "no label stands for female" in refusal(capsys, "voice_gender", "--from", str(folder))
    change(folder / "config.json", id2label={})
    assert "id2label" in refusal(capsys, "voice_gender", "--from", str(folder))


@pytest.mark.parametrize(
    ("file", "fields", "words"),
    [
        ("config.json", {"pooling_mode": "max"}, "pools by 'max'"),
        ("config.json", {"model_type": "no-such-network"}, "transformers cannot load it"),
        ("config.json", {"intermediate_size": 48}, "another shape"),
        ("config.json", {"num_hidden_layers": 3}, "are missing"),
        ("preprocessor_config.json", {"sampling_rate": 8_000}, "8000 Hz"),
        ("preprocessor_config.json", {"feature_extractor_type": "WhisperFeatureExtractor"}, "cannot take the place"),
    ],
)
def test_what_would_not_be_served_rightly_is_refused(
    folder: Path, file: str, fields: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(folder / file, **fields)
    assert words in refusal(capsys, "voice_gender", "--from", str(folder))


@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / file).unlink()
    assert file.removeprefix("model.") in refusal(capsys, "voice_gender", "--from", str(folder))


def test_classes_are_told_apart_by_name_not_by_place(folder: Path, tags: dict[str, str]) -> None:
    """The same network with its two outputs exchanged gives the same answers."""
    spec = registry.specs()["voice_gender"]

    def answers(tag: str) -> list[list[float]]:
        return [outcome.probabilities for outcome in predictor_of(spec.name, tag).answer(examples.items(spec))]

    weights = load_file(folder / "model.safetensors")
    swapped = {k: v.flip(0).contiguous() if k.startswith("classifier.") else v for k, v in weights.items()}
    save_file(swapped, folder / "model.safetensors", metadata={"format": "pt"})
    change(folder / "config.json", id2label={"0": "Male", "1": "FEMALE"})
    exchanged = import_checkpoint(spec, Source(folder, "test"))
    assert exchanged != tags[spec.name]
    np.testing.assert_allclose(answers(exchanged), answers(tags[spec.name]), atol=1e-5)


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_an_answer_does_not_depend_on_the_batch(norm: str, tmp_path: Path) -> None:
    """Group norm is taken over time, so padding would count; clips of one length need none."""
    changes: dict[str, Any] = {"feat_extract_norm": norm, "do_stable_layer_norm": norm == "layer"}
    folder = layout.write("deepfake_encoder", tmp_path, small=True, **changes)
    spec = registry.specs()["deepfake_encoder"]
    predictor = predictor_of(spec.name, import_checkpoint(spec, Source(folder, "test")))
    clips = [clip[: 16_000 * seconds] for seconds, clip in enumerate(examples.items(predictor.spec), start=1)]
    together = [outcome.probabilities for outcome in predictor.answer(clips)]
    alone = [predictor.answer([clip])[0].probabilities for clip in clips]
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_silence_is_decided_by_its_energy(tags: dict[str, str]) -> None:
    predictor = predictor_of("audio_scene", tags["audio_scene"])
    clips = [np.zeros(160_000, np.float32), examples.items(predictor.spec)[0], np.full(16_000, 1e-6, np.float32)]
    outcomes = predictor.answer(clips)
    assert [outcome.probabilities == [0, 0, 0, 1] for outcome in outcomes] == [True, False, True]
    assert predictor.spec.input.window_s == pytest.approx(10.24)  # type: ignore[union-attr]


def test_what_a_keras_file_does_not_say_must_be_given(
    checkpoints: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--classes" in refusal(capsys, "face_gender", "--from", str(checkpoints["face_gender"]))
    three = ["--classes", "female,male,woman", "--pixels", "0..1"]
    assert "answers 2 classes" in refusal(capsys, "face_gender", "--from", str(checkpoints["face_gender"]), *three)


@pytest.mark.served
def test_the_published_profile_serves_them(
    store: Path, tags: dict[str, str], site: LocalSite, voice: bytes, face: bytes
) -> None:
    """``x-model`` names the entry that answered; models without a published one answer as ever."""
    with serve(store, {"PROFILE": "published"}) as bundle:
        answered = answered_by(bundle, voice, face, site.add_file("/published.flac", voice))
    assert all("-published:" in answered[name] for name in ("voice_gender", "face_gender", "audio_scene")), answered
    assert "deepfake_encoder-published:" in answered["voice_deepfake"]
    assert "deepfake_mlp:" in answered["voice_deepfake"]
    assert answered["heart_sound"].startswith("heart_sound:")


def answered_by(bundle: Bundle, voice: bytes, face: bytes, url: str) -> dict[str, str]:
    """What the five answers say of their models."""
    encoded = base64.b64encode(voice).decode()
    body = {"language": "Hindi", "audioFormat": "flac", "audioBase64": encoded}
    heart = (DATA / "hearts" / "normal_1.pcm").read_bytes()
    with bundle.client() as client:
        answers = {
            "voice_gender": client.post("/api/detect-gender", files={"audio": voice}),
            "face_gender": client.post("/api/gender", files={"image": face}),
            "heart_sound": client.post("/upload_audio", content=heart),
            "audio_scene": client.post("/analyze-audio", json={"audio_url": url}),
            "voice_deepfake": client.post("/api/voice-detection", json=body, headers={"x-api-key": KEY}),
        }
    assert {answer.status_code for answer in answers.values()} == {200}, [a.text for a in answers.values()]
    return {name: answer.headers["x-model"] for name, answer in answers.items()}
