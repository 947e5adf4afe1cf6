"""A file that is replaced as a whole."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from core.files import remove_stale_parts, replace_file


def test_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "data"
    for text in (b"old and longer", b"new"):
        replace_file(path, text)
        assert path.read_bytes() == text
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_mode_and_time_are_those_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"readable by all")
    replace_file(path, b"secret", mode=0o600, modified_ns=1_500_000_000_123_456_000)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_mtime_ns == 1_500_000_000_123_456_000


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data"
    replace_file(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_parts_of_the_dead_are_removed_once_they_are_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, other = tmp_path / ".data.0123456789abcdef.tmp", tmp_path / ".other.0123456789abcdef.tmp"
    part.write_bytes(b"half")
    other.write_bytes(b"half")
    remove_stale_parts(tmp_path / "data")
    assert part.exists()  # it may be written at this moment
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 120)
    remove_stale_parts(tmp_path / "data")
    assert not part.exists()
    assert other.exists()
