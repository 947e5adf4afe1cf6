"""The recipes of the spectrogram and the feature member, on a few clips."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from core.settings import VOTING
from models.calibration import Calibration
from models.deepfake_cnn import network
from training import deepfake_cnn, deepfake_mlp, ensemble, voice_deepfake
from training.data.datasets import Clip
from training.evaluation.folds import Split
from training.fitting import loop, members, sound
from training.protocol import Predict

RECIPES = [deepfake_cnn, deepfake_mlp]
COLUMNS = ("file", "label", "language", "speaker_or_group", "system", "source", "licence", "codec", "split")


def write_set(folder: Path, rows: Sequence[tuple[str, ...]]) -> None:
    """A data set of tones with noise, one clip a row."""
    folder.mkdir(parents=True)
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    for place, (name, label, *_) in enumerate(rows):
        rng, time = np.random.default_rng(place), np.arange(20_000) / 16_000
        tone = np.sin(2 * np.pi * (120 + 9 * place) * time) * (1 + np.sin(2 * np.pi * 4 * time))
        noise = rng.standard_normal(time.size) * (0.01 if label == "HUMAN" else 0.1)
        soundfile.write(folder / name, 0.2 * (tone + noise) / 2, 16_000)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six human and six AI clips of as many pages, two of them of the validation part, and backgrounds."""
    folder = tmp_path_factory.mktemp("data")
    rows = [
        (
            f"{label}{i}.wav",
            label,
            "en",
            f"{label}{i}",
            human or f"S{i}",
            f"github:{label}/{i}@1:x",
            "CC0",
            "none",
            part,
        )
        for label, human in (("HUMAN", "human"), ("AI_GENERATED", ""))
        for i, part in enumerate(["train"] * 5 + ["val"])
    ]
    write_set(folder / "voice_deepfake", rows)
    scenes = [(f"{label}.wav", label, "", label, "", label, "CC0", "none", "train") for label in ("noise", "music")]
    for name in ("audio_scenes", "audio_scenes_more"):
        write_set(folder / name, scenes)
    return folder


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps, and features kept where no other test finds them."""
    monkeypatch.setattr(members, "KEPT", tmp_path / "kept")
    for recipe in RECIPES:
        monkeypatch.setattr(recipe, "EPOCHS", 1)
        monkeypatch.setattr(recipe, "STEPS", 2)
    sound.backgrounds.cache_clear()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda module: module.__name__)
def test_one_command_writes_the_same_weights_again(
    recipe: object, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert recipe in RECIPES
    for out in ("first", "again"):
        members.main(recipe.RECIPE, "", ["--data", str(data), "--out", str(tmp_path / out)])
    assert "compiled against native" in capsys.readouterr().out
    first, again = (
        {
            path.name: path.read_bytes()
            for path in (tmp_path / out).rglob("*")
            if path.suffix in (".safetensors", ".json")
        }
        for out in ("first", "again")
    )
    assert {"model.safetensors", "config.json", "calibration.json", "export.json"} <= set(first)
    assert first.keys() == again.keys()
    for name in set(first) - {"export.json"}:  # which holds the differences of the compiled forms
        assert first[name] == again[name], name
    assert Calibration.load(tmp_path / "first").temperature > 0


def test_the_model_learns_from_the_training_part_and_folds_leave_out_what_they_test(data: Path) -> None:
    class Counting(deepfake_mlp.DeepfakeMlp):
        def answers(self, module: torch.nn.Module, clips: Sequence[Clip]) -> members.Logits:
            return np.full((len(clips), 2), len(met), np.float32)

    recipe = Counting()
    clips = recipe.clips(data)
    assert [clip.fields["split"] for clip in clips].count("val") == 2
    met: list[set[str]] = []

    def train(part: Split) -> torch.nn.Module:
        met.append({voice_deepfake.page(clips[place]) for place in part.train})
        return torch.nn.Identity()

    logits = members.unmet(train, recipe, clips, voice_deepfake.unseen(clips, 3))
    assert not np.isnan(logits).any()
    for clip, row in zip(clips, logits, strict=True):
        assert voice_deepfake.page(clip) not in met[int(row[0]) - 1]


def test_the_spectrogram_member_learns_copies_by_vocoders_as_ai(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deepfake_cnn, "SHARES", (0.0, 0.0, 1.0))
    monkeypatch.setattr(sound, "is_copy", lambda clip: clip.label == "HUMAN")
    targets = []

    def noted(module: torch.nn.Module, batch: loop.Batch) -> torch.Tensor:
        targets.append(batch.targets)
        return real(module, batch)

    real = deepfake_cnn.loss
    monkeypatch.setattr(deepfake_cnn, "loss", noted)
    recipe = deepfake_cnn.DeepfakeCnn()
    recipe.train(recipe.clips(data))
    assert set(torch.cat(targets).argmax(dim=1).tolist()) == {members.AI}


def test_a_spectrogram_network_is_asked_about_the_quarter_that_it_has_not_met(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained(clips: object, data: object, kept: object, course: object, seed: int, part: Split) -> dict[str, Any]:
        state = {name: np.zeros_like(value.numpy()) for name, value in network.TextureCnn().state_dict().items()}
        return state | {"head.2.bias": np.full(2, seed, np.float32)}

    def pool(workers: int, mp_context: object) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(workers)

    def calibrated(logits: members.Logits, clips: Sequence[Clip]) -> Calibration:
        found.append(logits)
        return Calibration(1.0, (0.0, 0.0))

    found: list[members.Logits] = []
    monkeypatch.setattr(deepfake_cnn, "trained_part", trained)
    monkeypatch.setattr(deepfake_cnn, "ProcessPoolExecutor", pool)
    monkeypatch.setattr(members, "calibrated", calibrated)
    recipe = deepfake_cnn.DeepfakeCnn()
    clips = recipe.clips(data)
    recipe.fitted(clips)
    for seed, part in enumerate(voice_deepfake.quarters(clips)):
        assert part.test.size
        np.testing.assert_array_equal(found[0][part.test], seed)


def test_the_members_are_weighed_and_decided_as_while_serving(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sure:
        def __init__(self, score: float) -> None:
            self.score = score

        def clips(self, data: Path) -> list[Clip]:
            return sound.clips(data, "voice_deepfake")

        def fit(self, clips: Sequence[Clip]) -> Predict:
            return lambda others: np.tile([1.0 - self.score, self.score], (len(others), 1))

    voting = VOTING["compact"]
    for scores in ((0.9, 0.2, 0.4), (0.2, 0.9, 0.9), (voting.threshold, voting.threshold, voting.threshold + 0.01)):
        monkeypatch.setattr(ensemble, "RECIPES", [Sure(score) for score in scores])
        clips = ensemble.RECIPE.clips(data)
        rows = ensemble.RECIPE.fit(clips)(clips[:3])
        weighed = np.dot(scores, voting.weights)
        assert rows.shape == (3, 2)
        assert (rows[0, 1] > 0.5) == (weighed > voting.threshold)
        np.testing.assert_allclose(rows.sum(axis=1), 1.0)


@pytest.mark.parametrize("name", sound.FORMS[1:])
def test_a_clip_has_the_same_form_in_every_run(data: Path, name: str) -> None:
    clips = sound.clips(data, "voice_deepfake")
    forms = [sound.form(clip, name, data) for clip in clips]
    for clip, form in zip(clips, forms, strict=True):
        np.testing.assert_array_equal(form, sound.form(clip, name, data))
        plain = sound.form(clip, "plain", data)
        assert form.size != plain.size or not np.allclose(form, plain, atol=1e-4)


def test_each_network_learns_three_quarters_and_is_calibrated_on_what_it_has_not_met() -> None:
    def clip(page: int, system: str, group: str) -> Clip:
        fields = {"source": f"github:a/page{page}@1:x", "system": system, "language": "en"}
        return Clip(Path(f"{page}-{system}-{group}"), "HUMAN" if system == "human" else "AI_GENERATED", group, fields)

    clips = [clip(page, "everywhere", f"voice {page}") for page in range(16)]
    clips += [clip(page, f"system {page}", f"voice {page}") for page in range(16)]
    clips += [clip(page, "human", f"speaker {page // 2}") for page in range(16)]
    parts = voice_deepfake.quarters(clips)
    assert len(parts) == voice_deepfake.NETWORKS
    unmet = np.concatenate([part.test for part in parts])
    assert np.bincount(np.concatenate([part.train for part in parts])).tolist() == [3] * len(clips)
    for part in parts:
        known = {(clips[place].group, voice_deepfake.system(clips[place])) for place in part.train}
        for place in part.test:
            assert clips[place].group not in {group for group, _ in known}
            assert clips[place].fields["system"] not in {system for _, system in known if system}
    assert not any(clips[place].fields["system"] == "everywhere" for place in unmet)
    assert {place for place in unmet if 16 <= place < 32} == set(range(16, 32))


def test_classes_are_drawn_alike_and_large_pages_less_than_their_clips(data: Path) -> None:
    clips = sound.clips(data, "voice_deepfake")
    many = [*clips, *[clips[0]] * 8]
    weights = members.weights(many)
    labels = members.labels(many)
    assert weights[labels == 0].sum() == pytest.approx(0.5)
    page = np.array([voice_deepfake.page(clip) == voice_deepfake.page(clips[0]) for clip in many])
    assert 0.5 / 6 < weights[page].sum() < 0.5 * page.sum() / (labels == 0).sum()


def test_a_clip_that_was_handed_over_counts_for_several_that_are_fetched() -> None:
    fields = {"system": "human", "language": "en"}
    folders = ("voice_deepfake_further", "voice_deepfake", "voice_deepfake_more")
    clips = [
        Clip(Path("sets", folder, "clip.wav"), "HUMAN", folder, fields | {"source": f"github:a/{folder}@1:x"})
        for folder in folders
    ]
    weights = voice_deepfake.counted(clips)
    np.testing.assert_allclose(weights / weights[0], [1.0, voice_deepfake.HANDED_OVER, voice_deepfake.HANDED_OVER])


def test_what_a_vocoder_has_made_is_ai_generated() -> None:
    clips = [Clip(Path("train", f"en_{place}.opus"), members.CLASSES[place % 2], "", {}) for place in range(100)]
    labels = members.labels(clips)
    copies = voice_deepfake.labels_of_copies(clips, labels) != labels
    assert copies.tolist() == [sound.is_copy(clip) for clip in clips]
    assert 10 < copies.sum() < 40
