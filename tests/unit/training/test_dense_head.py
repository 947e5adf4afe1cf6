"""The dense networks: what each has not seen, and that all three forms of a head give the same logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
import torch
from sklearn.metrics import roc_auc_score

from models.completion import complete
from models.encoder import FEATURES, HEAD, LEVELS
from models.encoder.network import load_native
from models.encoder.processing import PROCESSOR
from models.values import IR_MODEL
from training.evaluation.folds import Split, by_group
from training.fitting import dense

QUICK = dense.Settings(hidden=16, epochs=60, batch=32, rate=1e-2, dropped=0.0, unread=0.0, noise=0.0, smoothing=0.0)
CLIPS = 120


def parts() -> list[Split]:
    groups = [str(place // 3) for place in range(CLIPS)]
    return by_group([str(place % 2) for place in range(CLIPS)], groups, folds=3)


def test_a_network_knows_nothing_of_the_clips_it_is_fitted_without() -> None:
    """The labels are chance: who has seen a clip knows it by heart, who has not can only guess."""
    rng = np.random.default_rng(0)
    rows, labels = rng.standard_normal((CLIPS, 60)).astype(np.float32), rng.permutation(np.arange(CLIPS) % 2)
    head = dense.fit([dense.Form(rows, labels)], np.ones(CLIPS), parts(), QUICK)
    unseen = dense.cross_fitted(head, rows, parts())
    assert roc_auc_score(labels, np.diff(head.logits(rows))[:, 0]) > 0.95
    assert 0.3 < roc_auc_score(labels, np.diff(unseen)[:, 0]) < 0.7


def test_classes_are_told_apart_whatever_a_feature_s_scale_is_and_the_same_rows_give_the_same() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(CLIPS) % 2
    rows = (rng.standard_normal((CLIPS, 8)) + 3 * labels[:, None]) * 10.0 ** np.arange(-3, 5) + 40
    rows[:, 0] = 0.0  # a feature that is always the same is not read
    form = dense.Form(rows.astype(np.float32), labels)
    heads = [dense.fit([form], np.ones(CLIPS), parts(), QUICK) for _ in range(2)]
    moved = rows.astype(np.float32)
    moved[:, 0] = 1e4
    logits = dense.cross_fitted(heads[0], moved, parts())
    assert (logits.argmax(axis=1) == labels).mean() > 0.95
    for name, value in heads[0].arrays().items():
        np.testing.assert_array_equal(value, heads[1].arrays()[name])


def test_other_forms_of_clips_are_learned_from() -> None:
    """What tells the classes in the second form is noise in the first."""
    rng = np.random.default_rng(2)
    labels = np.arange(CLIPS) % 2
    plain, worn = rng.standard_normal((2, CLIPS, 4)).astype(np.float32)
    plain[:, 0] += 6 * labels
    worn[:, 1] += 6 * labels
    head = dense.fit([dense.Form(plain, labels, 0.5), dense.Form(worn, labels, 0.5)], np.ones(CLIPS), parts(), QUICK)
    for rows in (plain, worn):
        assert (dense.cross_fitted(head, rows, parts()).argmax(axis=1) == labels).mean() > 0.9


def test_a_form_has_labels_of_its_own() -> None:
    """What has been done to a clip of the first class may make one of the second of it."""
    rng = np.random.default_rng(4)
    labels = np.arange(CLIPS) % 2
    plain, changed = rng.standard_normal((2, CLIPS, 4)).astype(np.float32)
    plain[:, 0] += 6 * labels
    changed[:, 1] += 6
    forms = [dense.Form(plain, labels, 0.8), dense.Form(changed, np.ones_like(labels), 0.2)]
    head = dense.fit(forms, np.ones(CLIPS), parts(), QUICK)
    for form in forms:
        assert (dense.cross_fitted(head, form.rows, parts()).argmax(axis=1) == form.labels).mean() > 0.9


@pytest.mark.parametrize("speech_only", [True, False])
def test_the_compiled_form_gives_the_native_form_s_logits(tmp_path: Path, speech_only: bool) -> None:
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((CLIPS, FEATURES + LEVELS)).astype(np.float32)
    head = dense.fit([dense.Form(rows, np.arange(CLIPS) % 2)], np.ones(CLIPS), parts(), QUICK)
    np.savez(tmp_path / HEAD, allow_pickle=False, **head.arrays() | {"speech_only": np.array(speech_only)})
    complete(tmp_path)
    sounds = [rng.normal(0, 0.1, size).astype(np.float32) for size in (9_000, 16_000, 31_000)]
    batch = PROCESSOR.collate([PROCESSOR.prepare(sound).features for sound in sounds])
    with torch.inference_mode():
        native = load_native(tmp_path)(*(torch.from_numpy(array) for array in batch.values())).numpy()
    (compiled,) = ov.compile_model(tmp_path / IR_MODEL, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(batch).values()
    np.testing.assert_allclose(compiled, native, atol=1e-3, rtol=1e-3)
