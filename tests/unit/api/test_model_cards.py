"""The cards of the models."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.ui import cards
from models import registry


def test_a_model_without_a_card_names_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As one that was just added by the guide."""
    spec = registry.specs()["voice_gender"]
    assert cards.card_address(spec, "voice_gender:1") == "/ui/cards/voice_gender"
    assert cards.card_page("voice_gender")
    monkeypatch.setattr(cards, "card_file", lambda name: tmp_path / "CARD.md")
    assert cards.card_address(spec, "voice_gender:1") is None
    assert cards.card_page("voice_gender") is None
