"""The number of cores: what the process may run on, and what its container has the time of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core import resources


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """64 cores and no limit; the folder holds the control groups."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.setattr(resources, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "MINE", tmp_path / "mine")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_without_a_limit_all_cores_count() -> None:
    assert resources.cores() == 64
    assert resources.default_threads() == 32


@pytest.mark.parametrize(("limit", "cores"), [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2),
                                              ("10000 100000", 1), ("9900000 100000", 64)])  # fmt: skip
def test_a_container_has_a_quota(machine: Path, limit: str, cores: int) -> None:
    write(machine / "cgroup/cpu.max", limit)
    assert resources.cores() == cores


@pytest.mark.parametrize(("quota_us", "cores"), [(-1, 64), (200_000, 2), (50_000, 1)])
def test_version_1_has_quotas_too(machine: Path, quota_us: int, cores: int) -> None:
    write(machine / "cgroup/cpu/cpu.cfs_quota_us", str(quota_us))
    write(machine / "cgroup/cpu/cpu.cfs_period_us", "100000")
    assert resources.cores() == cores


@pytest.mark.parametrize("around", ["system.slice", "system.slice/bundle.service"])
def test_a_service_outside_containers_has_the_quotas_around_it(machine: Path, around: str) -> None:
    write(machine / "mine", "1:name=systemd:/elsewhere\n0::/system.slice/bundle.service")
    write(machine / "cgroup/system.slice/bundle.service/cpu.max", "max 100000")
    write(machine / "cgroup" / around / "cpu.max", "400000 100000")
    assert resources.cores() == 4


def test_the_smallest_part_counts(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(machine / "cgroup/cpu.max", "800000 100000")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5, 7, 9})
    assert resources.cores() == 3
    assert resources.default_threads() == 1


@pytest.mark.parametrize(
    ("cores", "workers", "threads_each", "expected"),
    [(1, 1, 0, 1), (2, 1, 0, 2), (16, 1, 0, 2), (2, 1, 2, 1), (2, 2, 1, 1), (4, 2, 1, 2), (64, 1, 1, 4), (2, 8, 8, 1)],
)
def test_streams_are_as_many_as_have_cores(
    cores: int, workers: int, threads_each: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "cores", lambda: cores)
    assert resources.default_streams(workers, threads_each) == expected
