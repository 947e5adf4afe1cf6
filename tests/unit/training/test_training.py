"""Data sets, figures, calibration and the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as reference

from models.calibration import Calibration
from training.data import datasets
from training.evaluation import metrics
from training.fitting import calibrate, command, loop
from training.fitting.history import History

CLASSES = ("HUMAN", "AI_GENERATED")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of three clips."""
    rows = ["a.flac,HUMAN,s1,train", "b.flac,AI_GENERATED,s2,train", "c.flac,HUMAN,s3,val"]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label,speaker_or_group,split", *rows]) + "\n")
    for name, rate in (("a", 16_000), ("b", 48_000), ("c", 8_000)):
        soundfile.write(tmp_path / f"{name}.flac", np.full((rate // 2, 2), 0.25), rate)
    return tmp_path


def scores(seed: int, clips: int = 80, classes: int = 2) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities that are somewhat right, with ties."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=clips - classes)])
    logits = rng.standard_normal((clips, classes)) + 1.5 * np.eye(classes)[labels]
    odds = np.exp(np.round(logits, 1))
    return labels, odds / odds.sum(axis=1, keepdims=True)


def test_manifest_gives_the_clips_of_one_split(folder: Path) -> None:
    clips = datasets.read_manifest(folder, "train")
    assert [(c.path.name, c.label, c.group) for c in clips] == [
        ("a.flac", "HUMAN", "s1"),
        ("b.flac", "AI_GENERATED", "s2"),
    ]
    assert datasets.class_indices(clips, CLASSES).tolist() == [0, 1]
    with pytest.raises(ValueError, match="no clip with split 'heldout'"):
        datasets.read_manifest(folder, "heldout")


def test_unknown_labels_are_named(folder: Path) -> None:
    with pytest.raises(ValueError, match="AI_GENERATED"):
        datasets.class_indices(datasets.read_manifest(folder, "train"), ("human", "robot"))


def test_audio_is_mono_at_the_rate_asked_for(folder: Path) -> None:
    for name in ("a", "b", "c"):
        audio = datasets.load_audio(folder / f"{name}.flac", 16_000)
        assert audio.shape == (8_000,)
        assert audio.dtype == np.float32
        assert audio[4_000] == pytest.approx(0.25, abs=1e-3)


def test_the_folder_of_data_sets_comes_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(datasets.DATASETS_DIR, str(folder))
    assert datasets.datasets_dir() == folder
    with pytest.raises(SystemExit, match="2"):
        datasets.datasets_dir(folder / "nowhere")


def test_weights_share_each_key_evenly() -> None:
    weights = datasets.balanced_weights("aaab", "xxyz")
    np.testing.assert_allclose(weights, [1 / 8, 1 / 8, 1 / 4, 1 / 2])
    np.testing.assert_allclose(datasets.balanced_weights("aaab", powers=[0.0]), 1 / 4)


@given(
    keys=st.lists(st.sampled_from("abc"), min_size=1, max_size=30), count=st.integers(1, 200), seed=st.integers(0, 9)
)
def test_drawing_follows_the_weights(keys: list[str], count: int, seed: int) -> None:
    weights = datasets.balanced_weights(keys)
    drawn = np.bincount(datasets.draw(weights, count, np.random.default_rng(seed)), minlength=len(keys))
    assert drawn.sum() == count
    assert np.abs(drawn - weights * count).max() <= 1.0 + 1e-6


@given(seed=st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    labels, probabilities = scores(seed)
    guesses = probabilities.argmax(axis=1)
    assert metrics.accuracy(labels, probabilities) == pytest.approx(reference.accuracy_score(labels, guesses))
    assert metrics.macro_recall(labels, probabilities) == pytest.approx(
        reference.balanced_accuracy_score(labels, guesses)
    )
    area = reference.roc_auc_score(labels, probabilities[:, 1])
    assert metrics.roc_auc(labels == 1, probabilities[:, 1]) == pytest.approx(area)
    assert metrics.brier(labels, probabilities) == pytest.approx(
        2 * reference.brier_score_loss(labels, probabilities[:, 1])
    )
    np.testing.assert_array_equal(metrics.confusion(labels, probabilities), reference.confusion_matrix(labels, guesses))


@given(seed=st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_equal_error_rate_lies_on_the_curve(seed: int) -> None:
    labels, probabilities = scores(seed)
    alarms, hits, _ = reference.roc_curve(labels, probabilities[:, 1], drop_intermediate=False)
    grid = np.linspace(0, 1, 20_001)
    expected = grid[np.argmin(np.abs(1 - np.interp(grid, alarms, hits) - grid))]
    assert metrics.equal_error_rate(labels == 1, probabilities[:, 1]) == pytest.approx(expected, abs=0.02)


def test_perfect_and_hopeless_scores() -> None:
    positive = np.array([False, False, True])
    assert metrics.equal_error_rate(positive, np.array([0.0, 0.1, 0.9])) == 0.0
    assert metrics.equal_error_rate(positive, np.array([0.9, 0.8, 0.1])) == 1.0
    assert np.isnan(metrics.roc_auc(np.array([True]), np.array([0.5])))


def test_calibration_error_of_a_coin() -> None:
    labels = np.array([0, 1] * 50)
    sure = np.tile([1.0, 0.0], (100, 1))
    assert metrics.expected_calibration_error(labels, sure) == pytest.approx(0.5)
    assert metrics.expected_calibration_error(labels, np.full((100, 2), 0.5)) == pytest.approx(0.0)


def test_intervals_draw_whole_groups() -> None:
    labels, probabilities = scores(1, clips=60)
    alone = metrics.interval(metrics.accuracy, labels, probabilities, range(60), rounds=300)
    grouped = metrics.interval(metrics.accuracy, labels, probabilities, [0] * 30 + [1] * 30, rounds=300)
    assert alone[0] < metrics.accuracy(labels, probabilities) < alone[1]
    assert len({*grouped}) <= 2  # two groups: three possible values


def test_calibration_finds_temperature_and_offset() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0.0, 1.5, 4_000)
    labels = (rng.random(4_000) < 1 / (1 + np.exp(-honest))).astype(np.int64)
    logits = np.stack([np.zeros(4_000), 4.0 * (honest - 0.5)], axis=1).astype(np.float32)
    report = calibrate.fit(logits, labels)
    assert report.calibration.temperature == pytest.approx(4.0, rel=0.1)
    assert report.calibration.bias[1] - report.calibration.bias[0] == pytest.approx(0.5, abs=0.2)
    assert report.after["ece"] < report.before["ece"]
    assert report.after["brier"] < report.before["brier"]
    assert "temperature" in str(report)


def test_a_temperature_alone_is_the_best_without_a_bias() -> None:
    """Not the one that goes with a bias that is not added."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0.0, 1.5, 4_000)
    labels = (rng.random(4_000) < 1 / (1 + np.exp(-honest))).astype(np.int64)
    logits = np.stack([np.zeros(4_000), 4.0 * (honest - 1.0)], axis=1).astype(np.float32)
    alone = calibrate.fit(logits, labels, bias=False).calibration
    assert alone.bias == (0.0, 0.0)
    assert alone.temperature != pytest.approx(calibrate.fit(logits, labels).calibration.temperature, rel=0.02)

    def loss(temperature: float) -> float:
        rows = Calibration(temperature, (0.0, 0.0)).probabilities(logits)
        likelihood = np.log(rows[np.arange(len(labels)), labels]).mean()
        return float(calibrate.TEMPERATURE_PENALTY * np.log(temperature) ** 2 - likelihood)

    assert loss(alone.temperature) < min(loss(alone.temperature * 1.05), loss(alone.temperature / 1.05))


def test_calibration_stays_finite_where_nothing_is_wrong() -> None:
    labels = np.array([0, 1] * 20)
    report = calibrate.fit(np.where(np.eye(2)[labels] > 0, 9.0, -9.0).astype(np.float32), labels)
    assert 0.01 < report.calibration.temperature < 100


def test_calibration_file_round_trip(tmp_path: Path) -> None:
    Calibration(1.5, (0.25, -0.25)).save(tmp_path)
    assert Calibration.load(tmp_path) == Calibration(1.5, (0.25, -0.25))


def corners(epoch: int) -> Iterator[loop.Batch]:
    """A task that a linear layer learns."""
    rng = np.random.default_rng(epoch)
    for _ in range(5):
        points = rng.standard_normal((16, 3)).astype(np.float32)
        labels = (points.sum(axis=1) > 0).astype(np.int64)
        yield loop.Batch({"input": torch.from_numpy(points)}, loop.one_hot(labels, 2))


def network() -> torch.nn.Module:
    """With dropout, so that chance plays a part."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Dropout(0.2), torch.nn.Linear(8, 2))


def positional(module: torch.nn.Module, batch: loop.Batch) -> torch.Tensor:
    """Cross-entropy of a module that takes no keywords."""
    return torch.nn.functional.cross_entropy(module(batch.inputs["input"]), batch.targets)


def test_training_learns_and_resumes_where_it_stopped(tmp_path: Path) -> None:
    settings_ = loop.Settings(epochs=4, steps=5, learning_rate=0.05, ema_decay=0.9)
    whole = loop.Trainer(network(), settings_, positional)
    expected = whole.run(corners, lambda m: {"norm": float(m[0].weight.norm())})  # type: ignore[index]
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]

    checkpoint = tmp_path / "run" / "checkpoint.pt"
    stopped = loop.Trainer(network(), settings_, positional)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(lambda epoch: corners(epoch) if epoch < 2 else interrupt(), None, checkpoint)
    resumed = loop.Trainer(network(), settings_, positional)
    history = resumed.history
    result = resumed.run(corners, None, checkpoint, resume=True)
    assert history is resumed.history, "the holder of the history sees the epochs before the stop"
    assert [entry["epoch"] for entry in resumed.history] == [0, 1, 2, 3]
    for one, other in zip(expected.parameters(), result.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_the_history_of_a_training_lies_beside_its_weights_and_names_no_folder(tmp_path: Path) -> None:
    made = command.parser("voice_gender", None)
    made.add_argument("--steps", type=int, default=7)
    options = made.parse_args(["--data", "/somewhere", "--out", str(tmp_path / "weights")])
    assert History.load(options.out) is None
    history = History.of(options)
    history.runs["network"] = [{"epoch": 0.0, "loss": 0.123456789}]
    history.save(options.out)
    again = History.load(options.out)
    assert again is not None
    assert again.settings == {"steps": 7}
    assert again.runs == {"network": [{"epoch": 0.0, "loss": 0.123457}]}


def interrupt() -> Iterator[loop.Batch]:
    """A user who presses Ctrl-C."""
    raise KeyboardInterrupt


def test_learning_rate_rises_and_falls() -> None:
    settings_ = loop.Settings(epochs=10, steps=10)
    rates = [loop.schedule(step, settings_) for step in range(100)]
    assert np.argmax(rates) in (9, 10)
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.02
    assert (np.diff(rates[10:]) < 0).all()


def test_a_parameter_may_have_its_own_rate() -> None:
    module = torch.nn.Linear(2, 2)
    module.weight.rate_scale = 0.0  # type: ignore[attr-defined]
    before = module.weight.detach().clone()
    batch = loop.Batch({"input": torch.randn(4, 2)}, torch.tensor([[1.0, 0.0]] * 4))
    loop.Trainer(module, loop.Settings(2, 1), positional).run(lambda _: [batch])
    torch.testing.assert_close(module.weight.detach(), before)
