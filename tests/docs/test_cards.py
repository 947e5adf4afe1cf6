"""Cards and README say what was measured, about the weights that are committed."""

from __future__ import annotations

import importlib.util
import json
import re
from typing import Any

import pytest

from models import registry
from models.calibration import Calibration
from tasks.names import FURTHER
from tasks.voice_deepfake import MEMBERS
from training import evaluate, protocol, refused, robustness
from training.evaluation import tables
from training.evaluation.groups import ENSEMBLE
from training.evaluation.size import size
from training.evaluation.targets import TARGETS

RESULTS: dict[str, Any] = json.loads(evaluate.RESULTS.read_text())
MODELS = sorted(registry.specs())


def card(name: str) -> str:
    return (tables.ROOT / "models" / name / "CARD.md").read_text()


def test_every_model_and_the_ensemble_are_measured() -> None:
    assert sorted(RESULTS) == sorted([*MODELS, ENSEMBLE])


@pytest.mark.parametrize("name", MODELS)
def test_every_card_has_its_commands_and_its_figures(name: str) -> None:
    modules = re.findall(r"`python -m ([\w.]+)", card(name))
    assert any(module.startswith("training.") for module in modules), "no command trains it"
    assert "models.save" in modules
    assert all(importlib.util.find_spec(module) for module in modules)
    for block in (name, f"{name}-network", f"{name}-calibration"):
        assert f"<!-- figures: {block} -->" in card(name)


@pytest.mark.parametrize("path", tables.documents(), ids=lambda path: path.parent.name)
def test_the_figures_of_every_document_are_those_measured(path: Any) -> None:
    left_out = json.loads(protocol.RESULTS.read_text()) if protocol.RESULTS.exists() else {}
    turned = json.loads(robustness.RESULTS.read_text()) if robustness.RESULTS.exists() else {}
    said = "make evaluate, python -m training.protocol and python -m training.robustness write them"
    assert tables.fill(path.read_text(), RESULTS, left_out, turned) == path.read_text(), said


def test_the_table_of_refused_recordings_is_the_one_measured() -> None:
    """``python -m training.refused`` writes it."""
    assert (
        f"<!-- figures: {refused.BLOCK} -->\n{refused.table(json.loads(refused.RESULTS.read_text()))}<!-- end -->"
        in card("voice_gender")
    )


@pytest.mark.parametrize("name", MODELS)
def test_the_measured_weights_are_those_committed(name: str) -> None:
    weights, measured = registry.weights(name), RESULTS[name]
    assert measured["network"] == pytest.approx(size(registry.complete(name)), abs=1e-3), (
        "make evaluate measures the new weights"
    )
    calibration = Calibration.load(weights)
    assert measured["calibration"]["temperature"] == pytest.approx(calibration.temperature, abs=1e-3)
    assert measured["calibration"]["bias"] == pytest.approx(calibration.bias, abs=1e-3)


def test_the_terms_of_every_model_are_in_the_table() -> None:
    overview = tables.overview(RESULTS)
    assert all(spec.licence and spec.licence in overview for spec in registry.specs().values())


def test_an_unmeasured_block_stays_and_a_measured_one_is_replaced() -> None:
    text = (
        "a\n<!-- figures: others -->\nold\n<!-- end -->\n<!-- figures: voice_gender-network -->\nold\n<!-- end -->\nb\n"
    )
    filled = tables.fill(text, RESULTS)
    assert filled.startswith("a\n<!-- figures: others -->\nold\n<!-- end -->\n")
    assert filled.count("old") == 1
    assert "parameters" in filled


def left_out(accuracy: float, **source: float) -> dict[str, Any]:
    """Figures as ``training.protocol.figures`` gives them, of a question with two classes."""
    return {
        "clips": 30,
        "people": 12,
        **dict.fromkeys(("accuracy", "macro_recall", "roc_auc", "eer"), accuracy),
        **{f"{name}_95": [0.25, 1.0] for name in ("accuracy", "macro_recall", "roc_auc", "eer")},
        "recall": {"female": 0.5, "male": 0.75},
        "source": {name: {"clips": 10, "accuracy": value} for name, value in source.items()},
    }


def test_left_out_figures_fill_their_own_block_and_no_other() -> None:
    text = "".join(
        f"<!-- figures: {block} -->\nold\n<!-- end -->\n"
        for block in ("overview", "left-out", "voice_gender-left-out", "audio_scene-left-out", "voice_gender")
    )
    measured = {
        "voice_gender": {
            "sources left out": left_out(0.875, VCTK=0.5, Others=1.0),
            "speakers left out": left_out(0.9375, VCTK=0.75),
        }
    }
    filled = tables.fill(text, {}, measured)
    assert filled.count("old") == 3
    lines = filled.splitlines()
    interval = "(0.250 to 1.000)"
    title, figures = "[Voice gender](models/voice_gender/CARD.md)", " | ".join([f"0.875 {interval}"] * 4)
    assert f"| {title} | sources left out | 30 | {figures} |" in lines
    assert f"| sources left out | 30 | 12 | {figures} |" in lines
    assert "| recall | female | male |" in lines
    assert "| speakers left out | 0.500 | 0.750 |" in lines
    assert "| source | clips | accuracy, sources left out | accuracy, speakers left out |" in lines
    assert "| VCTK | 10 | 0.500 | 0.750 |" in lines
    assert "| Others | 10 | 1.000 |  |" in lines
    assert tables.fill(filled, {}) == filled


def test_robustness_fills_its_own_block_and_no_other() -> None:
    text = "".join(
        f"<!-- figures: {block} -->\nold\n<!-- end -->\n"
        for block in ("audio_scene-robustness", "audio_scene", "overview")
    )
    filled = tables.fill(text, {}, robustness={"audio_scene": {"right": 20, "turned": {"FLAC": 0.0, "WebM": 0.05}}})
    assert filled.count("old") == 2
    assert "Of 20 validation clips" in filled
    assert "| WebM | 0.050 |" in filled.splitlines()
    found = {"right": 9, "of": "pictures", "turned": {"grey": 0.1}, "by_source": {"A": {"grey": 0.2}, "B": {"grey": 0}}}
    filled_by_source = tables.fill(text, {}, robustness={"audio_scene": found})
    assert "Of 9 pictures that" in filled_by_source
    assert "| grey | 0.100 | 0.200 | 0.000 |" in filled_by_source.splitlines()
    assert tables.fill(filled, {}) == filled


def test_targets_are_told_as_they_are_met() -> None:
    found = json.loads(json.dumps(RESULTS["face_gender"]))
    found["groups"]["ages"]["20 to 69"]["accuracy"], found["accuracy"] = 0.9548, 0.945
    found["ethnicity_gap"]["accuracy"] = 0.0201
    lines = tables.fill("<!-- figures: face_gender -->\n<!-- end -->", {"face_gender": found}).splitlines()
    assert "| accuracy, ages 20 to 69 at least 0.955 | 0.955 | no |" in lines
    assert "| accuracy, all ages at least 0.945 | 0.945 | yes |" in lines
    assert "| gap between ethnicities at most 0.02 (beyond) | 0.020 | no |" in lines


def test_every_one_of_the_five_has_a_target_that_is_measured() -> None:
    further = {name for models in FURTHER.values() for name in models}
    assert {*TARGETS, *MEMBERS} | further == {*MODELS, ENSEMBLE}
    for name, targets in TARGETS.items():
        assert all(0 <= target.reached(RESULTS[name])[0] <= 1 for target in targets)


def test_a_check_names_what_differs_and_forgives_two_clips_on_the_edge() -> None:
    shifted = json.loads(json.dumps(RESULTS))
    heart, voice = shifted["heart_sound"], shifted["voice_gender"]
    heart["accuracy"] -= 2 / heart["clips"]
    heart["classes"]["Normal"]["recall"] -= 2 / heart["classes"]["Normal"]["support"]
    heart["groups"]["source"]["PhysioNet/CinC 2016 training-c"]["accuracy"] -= 0.4
    heart["confusion"][4][4] -= 2
    heart["confusion"][4][3] += 2
    assert list(evaluate.differences(shifted, RESULTS)) == []
    heart["accuracy"] -= 1 / heart["clips"]
    heart["classes"]["Normal"]["recall"] -= 1 / heart["classes"]["Normal"]["support"]
    heart["groups"]["source"]["PhysioNet/CinC 2016 training-c"]["accuracy"] -= 0.2
    heart["confusion"][4][4] -= 1
    heart["confusion"][4][3] += 1
    voice["refused"] = 3
    del shifted["audio_scene"]["calibration"]
    found = list(evaluate.differences(shifted, RESULTS))
    assert [line.split(": ")[0] for line in found] == [
        "/audio_scene/calibration",
        "/heart_sound/accuracy",
        "/heart_sound/classes/Normal/recall",
        "/heart_sound/confusion",
        "/heart_sound/groups/source/PhysioNet/CinC 2016 training-c/accuracy",
        "/voice_gender/refused",
    ]


def test_of_a_thousand_faces_half_a_percent_may_differ() -> None:
    shifted = json.loads(json.dumps(RESULTS))
    shifted["face_gender"]["accuracy"] -= 0.005
    assert list(evaluate.differences(shifted, RESULTS)) == []
    shifted["face_gender"]["accuracy"] -= 0.001
    assert len(list(evaluate.differences(shifted, RESULTS))) == 1
