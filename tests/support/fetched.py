"""What tests of imported checkpoints need: the command's refusals, and what answers with an imported entry."""

from __future__ import annotations

from typing import Any

import bentoml
import pytest

from core.settings import Settings
from engine.predictor import Predictor
from models import registry
from models.store import Entry
from training import fetch

FACES = ["--classes", "female,male", "--pixels", "imagenet-bgr"]  # what a Keras file does not say


def refusal(capsys: pytest.CaptureFixture[str], name: str, *arguments: str) -> str:
    """The one line that the command refuses with."""
    capsys.readouterr()
    assert fetch.main([name, *arguments]) == 1
    last = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
    assert last.startswith("error: ")
    return last


def predictor_of(name: str, tag: str, **settings: Any) -> Predictor:
    """What answers with an entry of the store."""
    return Predictor.open(registry.specs()[name], Entry.open(bentoml.models.get(tag)), Settings(**settings))
