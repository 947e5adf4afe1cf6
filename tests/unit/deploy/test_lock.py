"""The image's requirements: pinned, hashed, and those that serving asks for."""

from __future__ import annotations

import re

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.served import ROOT

LOCK = (ROOT / "requirements-serving.lock").read_text()
# A requirement and its hashes, which follow on lines that end in a backslash.
ENTRIES = [entry for entry in LOCK.replace("\\\n", " ").splitlines() if entry.strip()]


def locked() -> dict[str, Requirement]:
    found = [Requirement(entry.split(" --hash")[0].strip()) for entry in ENTRIES]
    return {canonicalize_name(requirement.name): requirement for requirement in found}


def test_every_entry_is_pinned_and_hashed() -> None:
    assert len(ENTRIES) > 50
    for entry in ENTRIES:
        assert re.fullmatch(r"[\w.-]+==[\w.+-]+( +--hash=sha256:[0-9a-f]{64})+ *", entry), entry[:100]


def test_it_says_nothing_of_where_packages_come_from() -> None:
    assert not re.search(r"://|--(?!hash=)", LOCK)


def test_it_holds_what_serving_asks_for() -> None:
    """`make lock` writes it."""
    asked = [line.split("#")[0].strip() for line in (ROOT / "requirements-serving.txt").read_text().splitlines()]
    for requirement in map(Requirement, filter(None, asked)):
        pinned = locked()[canonicalize_name(requirement.name)]
        (version,) = (specifier.version for specifier in pinned.specifier)
        assert requirement.specifier.contains(version, prereleases=True), requirement


def test_it_holds_no_framework_and_no_tool() -> None:
    assert not locked().keys() & {"torch", "transformers", "keras", "tensorflow", "scipy", "pip", "setuptools", "wheel"}
