"""What `make mutants` relies on: its table, the end of what loops without end, and time that costs none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.clock import Clock
from tests.support.mutants import summary
from tests.support.served import ROOT
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

FOUND = """
    media.addresses.x__check__mutmut_1: killed
    media.addresses.x_plain__mutmut_12: survived
    media.addresses.xǁAllowedHostsǁcheck__mutmut_2: timeout
    scheduling.queue.xǁModelQueueǁ__post_init____mutmut_1: no tests
    scheduling.queue.xǁModelQueueǁsubmit__mutmut_1: killed
    scheduling.queue.xǁModelQueueǁsubmit__mutmut_2: killed
    storage.keys.x_parse__mutmut_1: not checked
"""


def test_the_table_counts_what_was_judged_and_names_what_no_test_noticed() -> None:
    unnoticed, table = summary(FOUND.splitlines()).split("\n\n")
    assert unnoticed.splitlines() == [
        "media.addresses.x_plain__mutmut_12: survived",
        "scheduling.queue.xǁModelQueueǁ__post_init____mutmut_1: no tests",
    ]
    assert [row.rsplit(maxsplit=2) for row in table.splitlines()] == [
        ["part", "changes", "noticed"],
        ["media.addresses", "2", "50%"],
        ["media.addresses AllowedHosts", "1", "100%"],
        ["scheduling.queue ModelQueue", "3", "67%"],
        ["all", "6", "67%"],
    ]


# Each task that is broken off starts another: no error that is raised within one ever reaches the test.
TURNING = """
import asyncio

async def turn():
    try:
        while True:
            pass
    finally:
        asyncio.create_task(turn())

def test_turns():
    async def main():
        await asyncio.create_task(turn())
    asyncio.run(main())
"""
LIMITED = """
import sys, pytest
from tests.support import processor_limit
processor_limit.LIMIT_S = 0.5
sys.exit(pytest.main(["-p", "tests.support.processor_limit", "-p", "no:cacheprovider", "test_turning.py"]))
"""


def test_a_test_that_turns_in_circles_is_ended(tmp_path: Path) -> None:
    (tmp_path / "test_turning.py").write_text(TURNING)
    command = [sys.executable, "-c", LIMITED]
    ended = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, timeout=240
    )
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "0.5 s of processor time" in ended.stderr


@pytest.mark.anyio
async def test_simulated_time_passes_while_all_wait(clock: Clock) -> None:  # noqa: F811 - the fixture
    loop = asyncio.get_running_loop()
    started, order = loop.time(), list[str]()

    async def wait(seconds: float, name: str) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    await asyncio.gather(wait(7200.0, "last"), wait(3600.0, "first"))
    assert order == ["first", "last"]
    assert loop.time() - started == pytest.approx(7200.0)
    assert loop.time() == clock.now
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(60.0):
            await asyncio.Event().wait()


@pytest.mark.anyio
async def test_a_thread_is_waited_for_in_simulated_time() -> None:
    assert await asyncio.to_thread(sum, [1, 2]) == 3
