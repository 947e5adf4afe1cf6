"""Programs that tests need: without them a test is skipped on a desk, and fails in continuous integration."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips on a desk; in continuous integration (``CI`` set) nothing is skipped."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing")
    pytest.skip(f"{what} is missing")


def program(*names: str) -> str:
    """The path of a program that has one of these names.

    Raises:
        Skipped: It is not installed, on a desk.
        Failed: It is not installed, in continuous integration.
    """
    return next(filter(None, map(shutil.which, names)), None) or missing(names[0])
