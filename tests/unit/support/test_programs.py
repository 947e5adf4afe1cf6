"""What becomes of a test whose program is not installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.programs import program


def test_it_is_skipped_on_a_desk_and_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    name = Path(sys.executable).name
    assert program("no-such-program", name) == sys.executable
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is missing"):
        program("no-such-program", "nor-this")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is missing"):
        program("no-such-program")
