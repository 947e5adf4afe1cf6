"""The lists of modules by how tests are run: a module that was renamed would silently run as any other."""

from __future__ import annotations

from tests.conftest import LONG
from tests.support.served import ROOT
from tests.unit.conftest import ALONE, HERE, SLOW


def test_every_named_module_exists() -> None:
    named = [ROOT / name for name in LONG if name != "clients"] + [HERE / name for name in ALONE | SLOW]
    assert [str(path) for path in named if not path.is_file()] == []
