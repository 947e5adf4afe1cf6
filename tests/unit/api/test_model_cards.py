"""The cards of the models."""

from __future__ import annotations

import os
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


def test_a_page_is_made_once_and_again_when_the_card_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It takes up to 40 ms, in which other requests get half of the interpreter's time."""
    card = tmp_path / "CARD.md"
    card.write_text("first")
    os.utime(card, (1, 1))
    monkeypatch.setattr(cards, "card_file", lambda name: card)
    first = cards.card_page("voice_gender")
    assert first is not None
    assert cards.card_page("voice_gender") is first
    card.write_text("second")
    os.utime(card, (2, 2))
    assert "second" in (cards.card_page("voice_gender") or "")
