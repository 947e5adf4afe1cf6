"""The contract's page: what code and tests cite of it exists, and nothing cites it by numbers."""

from __future__ import annotations

import re
import subprocess

from tests.support.served import ROOT

CITED = re.compile(r"docs/contract\.md, ([A-Z][\w-]*(?: [a-z][\w-]*)*)")
NUMBERED = re.compile(r"\bC[1-7]\b")
FORMS = re.compile(r"UTF-8''")  # a filename in an HTTP header, percent-encoded


def sources() -> dict[str, str]:
    """The Python files of the repository by name."""
    command = ["git", "ls-files", "*.py"]
    listed = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=True, timeout=60).stdout
    return {name: (ROOT / name).read_text() for name in listed.splitlines() if (ROOT / name).exists()}


def test_every_cited_heading_exists() -> None:
    headings = set(re.findall(r"^## (.+)$", (ROOT / "docs" / "contract.md").read_text(), re.MULTILINE))
    cited = {heading for text in sources().values() for heading in CITED.findall(text)}
    assert len(cited) >= 6
    assert cited <= headings


def test_nothing_is_cited_by_a_number() -> None:
    found = {
        name: line
        for name, text in sources().items()
        for line in text.splitlines()
        if name != "tests/docs/test_contract_page.py" and NUMBERED.search(line) and not FORMS.search(line)
    }
    assert not found
