"""No model changes its answer for a bundled sample unintended (``python -m tests.support.golden`` writes new ones)."""

from __future__ import annotations

import json

import pytest

from core.settings import Settings
from models import registry
from models.store import MAX_DIFFERENCE
from tests.support import golden

TOLERANCE = 1e-3  # the compiled engine wrote the golden values; the native one differs from it by a quarter of this
FORMS: dict[str, tuple[dict[str, str], float]] = {
    "compiled": ({"engine": "compiled", "precision": "f32"}, TOLERANCE),
    "native": ({"engine": "native", "device": "cpu"}, TOLERANCE),
    # In bfloat16 where a network agrees in it and the processor computes it.
    "as served": ({"engine": "compiled"}, MAX_DIFFERENCE),
}
KNOWN: dict[str, dict[str, golden.Outcome]] = json.loads(golden.GOLDEN.read_text())


def test_every_model_has_golden_answers_to_every_sample() -> None:
    paths = golden.samples()
    expected = {
        name: {path.relative_to(golden.ROOT).as_posix() for path in paths if golden.is_input(spec, path)}
        for name, spec in registry.specs().items()
    }
    assert {name: set(answers) for name, answers in KNOWN.items()} == expected
    assert all(len(answers) >= 7 for answers in expected.values())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", list(registry.specs()))
def test_no_probability_has_moved(name: str, form: str) -> None:
    settings, tolerance = FORMS[form]
    found = golden.answers_of(name, Settings.model_validate(settings))
    moved = list(golden.moved(found, KNOWN[name], tolerance))
    assert not moved, "\n".join([*moved, f"if this is meant: python -m tests.support.golden {name}"])


@pytest.mark.parametrize(
    ("new", "lines"),
    [
        ({"a": {"yes": 0.6, "no": 0.4}}, 0),
        ({"a": {"yes": 0.6009, "no": 0.3991}}, 0),
        ({"a": {"yes": 0.6011, "no": 0.3989}}, 1),
        ({"a": {"yes": float("nan"), "no": 0.4}}, 1),
        ({"a": {"yes": 0.6, "other": 0.4}}, 1),
        ({"a": "Unprocessable"}, 1),
        ({}, 1),
        ({"a": {"yes": 0.6, "no": 0.4}, "b": "BadRequest"}, 1),
    ],
    ids=["same", "within", "beyond", "nan", "classes", "refused", "missing", "further"],
)
def test_what_counts_as_moved(new: dict[str, golden.Outcome], lines: int) -> None:
    assert len(list(golden.moved(new, {"a": {"yes": 0.6, "no": 0.4}}, TOLERANCE))) == lines
