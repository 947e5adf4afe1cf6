"""What the entry point imports: import-linter reads packages, and ``service.py`` is a module at the top."""

from __future__ import annotations

import ast

from tests.support.served import ROOT

LAYERS = {"api", "runners", "core"}  # HTTP, the models' services, and what all need
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}


def imported(source: str) -> set[str]:
    """The folders of ours that a file imports from, at its top and in its functions."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names} & OURS


def test_the_entry_point_imports_the_layers_that_it_puts_together_and_no_others() -> None:
    assert {"training", "benchmarks", "tests", "models", "cli"} <= OURS
    assert imported((ROOT / "service.py").read_text()) == LAYERS


def test_imports_within_functions_are_seen() -> None:
    assert imported("import os\ndef f():\n    from training.install import main\n    import models.store") == {
        "training", "models",
    }  # fmt: skip
