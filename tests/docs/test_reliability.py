"""The table of what was tried: on its page as the command writes it, and of tests that exist."""

from __future__ import annotations

import ast

import pytest

from tests.support import reliability
from tests.support.served import ROOT


def test_the_page_has_the_table() -> None:
    page = reliability.PAGE.read_text()
    shown = page.partition(reliability.BEGIN)[2].partition(reliability.END)[0]
    assert shown == reliability.table(), "python -m tests.support.reliability writes it"


@pytest.mark.parametrize("test", reliability.tests())
def test_what_it_names_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in found if name else any(one.startswith("test_") for one in found)


def test_every_hostile_corpus_is_in_it() -> None:
    files = {f"tests/{path.relative_to(ROOT / 'tests')}" for path in (ROOT / "tests").rglob("test_*hostile*.py")}
    assert files <= set(reliability.tests())
