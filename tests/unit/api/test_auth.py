"""Keys of the AI-voice route."""

from __future__ import annotations

import logging

import pytest

from api.auth import check_key
from core.errors import Forbidden

KNOWN = ("alpha", "beta")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": "alpha"}, {"x-api-key": "beta"}, {"x-api-key": " alpha "}, {"authorization": "Bearer beta"},
        {"authorization": "bearer beta"}, {"authorization": "BEARER  beta "},
    ],
)  # fmt: skip
def test_a_known_key_passes(headers: dict[str, str]) -> None:
    check_key(KNOWN, headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"x-api-key": ""}, {"x-api-key": "alph"}, {"authorization": "alpha"}, {"authorization": "Basic alpha"},
     {"x-api-key": "wrong", "authorization": "Bearer alpha"}, {"x-api-key": "\xff"}, {"authorization": "Bearer "},
     {"authorization": "Bearer"}, {"authorization": "Bearer Bearer alpha"}, {"x-api-key": "al pha"}],
)  # fmt: skip
def test_anything_else_does_not(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden, match="Invalid API key provided"):
        check_key(KNOWN, headers)


def test_without_a_configured_key_all_are_refused_and_the_log_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(Forbidden):
        check_key((), {"x-api-key": ""})
    assert "API_KEY" in caplog.text
