"""The lists of modules by how tests are run: a module that was renamed would silently run as any other."""

from __future__ import annotations

from tests.conftest import LONG
from tests.support.served import ROOT
from tests.unit.conftest import ALONE, HERE, OF_SERVED, SERVING, SLOW


def test_every_named_module_exists() -> None:
    named = [ROOT / name for name in LONG if name != "clients"] + [HERE / name for name in ALONE | SERVING | SLOW]
    assert [str(path) for path in named if not path.is_file()] == []


def test_no_served_test_is_in_a_module_that_is_left_out_where_they_run() -> None:
    mark = "pytest.mark." + "served"
    with_some = {path.relative_to(HERE).as_posix() for path in HERE.rglob("test_*.py") if mark in path.read_text()}
    assert with_some == SERVING
    makefile = (ROOT / "Makefile").read_text()
    assert f'-m "{OF_SERVED}"' in makefile
    assert "-m alone tests/unit" in makefile
