"""The start of the API process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from core.settings import Settings
from runners import assembly
from runners.assembly import assemble

pytestmark = pytest.mark.anyio


def test_a_runner_without_an_address_stops_the_start() -> None:
    """BentoML would load the model into the API process instead, without a word."""
    with pytest.raises(SystemExit, match="no address for the runners of voice_gender"):
        assemble(Settings(), {"voice_gender": object()})


async def test_recordings_are_decoded_in_as_many_threads_as_there_are_cores_to_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one, for when one waits; the cores of the machine are not those of a container."""
    monkeypatch.setattr(assembly, "cores", lambda: 3)
    others, later = set(threading.enumerate()), threading.Event()
    context = assemble(Settings(data_dir=tmp_path), {})
    for _ in range(8):
        context.threads.submit(later.wait, 60)
    assert len(set(threading.enumerate()) - others) == 4
    later.set()
    await context.close()
