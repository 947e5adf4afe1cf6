"""A runner outlives the API process beside it; ``tests/serving/test_bento.py`` ends a whole bundle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from runners.lifetime import api_is_alive, outlive_api
from tests.support.served import ROOT

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--service-name", "MediaClassifier", "--fd", "3"], True), (["--service-name", "VoiceGender"], False),
        (["MediaClassifier"], False), (["--service-name"], False),
    ],
)  # fmt: skip
def test_the_api_is_known_by_its_arguments(arguments: list[str], expected: bool) -> None:
    with subprocess.Popen([*SLEEP, *arguments]) as child:
        assert api_is_alive(os.getpid()) is expected
        assert not api_is_alive(child.pid)
        child.kill()
    assert not api_is_alive(os.getpid())


@pytest.mark.anyio
async def test_a_process_that_is_no_server_is_left_alone() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a measured process has a handler
    try:
        outlive_api(1.0)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_end_comes_when_no_api_is_left() -> None:
    program = """
import asyncio, os, signal
from runners.lifetime import outlive_api

async def main():
    ended = asyncio.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    outlive_api(30.0)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(ended.wait(), 20)
    print("ended")

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == "ended", done.stderr
