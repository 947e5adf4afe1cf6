"""What there is to say of each model."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.v1 import catalogue
from models import registry


def test_a_model_without_a_card_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one that was just added by the guide."""
    spec = registry.specs()["voice_gender"]
    assert catalogue.card_address(spec, "voice_gender:1") == "/ui/cards/voice_gender"
    assert catalogue.card_page("voice_gender")
    monkeypatch.setattr(catalogue, "card_file", lambda name: tmp_path / "CARD.md")
    assert catalogue.card_address(spec, "voice_gender:1") is None
    assert catalogue.card_page("voice_gender") is None
