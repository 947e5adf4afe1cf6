"""The budget of bytes in hand: leases, what is counted in them, and the memory that there is."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from core import memory, resources
from core.errors import Unavailable
from core.memory import Budget, Lease
from core.settings import Settings
from media.audio import AudioLimits, decode
from storage.cache import SingleFlight
from tests.support.fetching import fetcher
from tests.support.http_site import ok, raw, serve

MIB = 1 << 20


def test_a_lease_gives_back_what_it_held() -> None:
    budget = Budget(100)
    with memory.lease(budget):
        memory.hold(60)
        with memory.holding(40):
            assert budget.used == 100
            with pytest.raises(Unavailable) as caught:
                memory.hold(1)
        assert budget.used == 60
    assert budget.used == 0
    assert caught.value.retry_after is not None
    memory.hold(10**12)  # without a lease nothing is counted


def test_a_thread_that_goes_on_after_its_request_ended_gets_nothing() -> None:
    budget = Budget(100)
    with memory.lease(budget):
        there = copy_context()
    with pytest.raises(Unavailable):
        there.run(memory.hold, 1)
    assert budget.used == 0


def test_what_a_thread_still_has_counts_after_its_request_ended() -> None:
    """Callers who left at once had a picture decoded on each thread, of which the budget knew nothing."""
    budget, begun, go_on = Budget(100), threading.Event(), threading.Event()

    def decode_picture() -> None:
        with memory.holding(50):
            begun.set()
            go_on.wait()

    with ThreadPoolExecutor(1) as threads:
        with memory.lease(budget):
            memory.hold(30)
            threads.submit(copy_context().run, decode_picture)
            begun.wait()
        after_the_end = budget.used
        go_on.set()
    assert (after_the_end, budget.used) == (50, 0)


class Slow(int):
    """A size; something else happens at the moment at which it is counted."""

    def __new__(cls, value: int, meanwhile: Callable[[], None]) -> Slow:
        made = super().__new__(cls, value)
        made.meanwhile = meanwhile
        made.sums = 0
        return made

    meanwhile: Callable[[], None]
    sums: int

    def __radd__(self, other: int) -> int:
        """Adds, and lets it in the second time: the first sum is that of the decision whether it fits."""
        self.sums += 1
        if self.sums == 2:
            self.meanwhile()
        return other + int(self)


def test_a_request_that_ends_while_a_thread_counts_for_it_gives_all_back() -> None:
    budget = Budget(100)
    lease = Lease(budget)
    ending = threading.Thread(target=lease.end)

    def end() -> None:
        ending.start()
        ending.join(0.2)  # it may have to wait for the thread that counts

    lease.grow(Slow(40, end))
    ending.join()
    assert budget.used == lease.held == 0


def test_many_threads_count_right() -> None:
    budget = Budget(1 << 40)
    leases = [Lease(budget) for _ in range(4)]

    def work(number: int) -> None:
        for _ in range(2000):
            leases[number % 4].grow(3)
            leases[number % 4].shrink(2)

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(work, range(8)))
    assert budget.used == 16_000 == sum(one.held for one in leases)


@pytest.mark.anyio
async def test_a_flight_has_a_lease_of_its_own() -> None:
    """The first caller may leave, and what was read is still there for the others."""
    budget, single_flight, go_on = Budget(100), SingleFlight[int](), asyncio.Event()

    async def compute() -> int:
        memory.hold(70)
        await go_on.wait()
        return budget.used

    async def ask() -> int:
        with memory.lease(budget):
            return await single_flight.join("key", compute)

    first, second = asyncio.create_task(ask()), asyncio.create_task(ask())
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.sleep(0.01)
    assert budget.used == 70
    go_on.set()
    assert await second == 70
    assert budget.used == 0


@pytest.mark.anyio
@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\nContent-Length: 90000", "HTTP/1.0 200 OK"])
async def test_downloads_are_counted(head: str) -> None:
    budget = Budget(100_000)
    async with serve({"/": raw(head, bytes(90_000)), "/small": ok(bytes(9_000))}) as site, fetcher() as one:
        with memory.lease(budget):
            await one.fetch(site.url("/"))
            assert budget.used == 90_000
            await one.fetch(site.url("/small"))
            with pytest.raises(Unavailable):
                await one.fetch(site.url("/"))
    assert budget.used == 0


@pytest.mark.anyio
async def test_a_download_counts_without_its_compression() -> None:
    """30 kB that become 32 MB were counted as 30 kB, however many of them waited for their turn."""
    budget, packed = Budget(100_000), gzip.compress(bytes(90_000))
    async with serve({"/": ok(packed, "Content-Encoding: gzip")}) as site, fetcher() as one:
        with memory.lease(budget):
            await one.fetch(site.url("/"))
            assert budget.used == len(packed) + 90_000
            with pytest.raises(Unavailable):
                await one.fetch(site.url("/"))
    assert budget.used == 0


def test_decoded_sound_is_counted_and_refused_before_it_is_made(wav_file: bytes) -> None:
    """Two seconds at 16 kHz, 128 kB; at the end as much again for a moment."""
    for total, fits in ((260_000, True), (128_000, True), (100_000, False)):
        budget = Budget(total)
        with memory.lease(budget):
            if fits:
                assert decode(wav_file, limits=AudioLimits()).samples.nbytes == budget.used == 128_000
            else:
                with pytest.raises(Unavailable):
                    decode(wav_file, limits=AudioLimits())
        assert budget.used == 0


def test_what_is_too_large_for_the_budget_can_be_had_alone() -> None:
    budget = Budget(100)
    with memory.lease(budget) as mine:
        memory.hold(30)
        with memory.holding(10**9):
            assert mine.held == budget.used == 100
        assert budget.used == 30
    other = Lease(budget)
    other.grow(1)
    with memory.lease(budget), pytest.raises(Unavailable), memory.holding(10**9):
        pass


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine of 16 GiB; the folder holds the control groups."""
    monkeypatch.setattr(os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 4 * MIB)
    monkeypatch.setattr(resources, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "MINE", tmp_path / "mine")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("memory.max", f"{1024 * MIB}", 1024 * MIB),
        ("memory.max", "max", 16_384 * MIB),
        ("memory/memory.limit_in_bytes", f"{512 * MIB}", 512 * MIB),
        ("memory/memory.limit_in_bytes", "9223372036854771712", 16_384 * MIB),
        ("system.slice/bundle.service/memory.max", f"{100 * MIB}", 100 * MIB),
        ("elsewhere/memory.max", "1", 16_384 * MIB),
    ],
)
def test_the_memory_is_that_of_the_container(groups: Path, file: str, text: str, expected: int) -> None:
    path = groups / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(f"{text}\n")
    (groups / "mine").write_text("0::/system.slice/bundle.service\n")
    assert resources.memory_bytes() == expected


def test_the_budget_is_a_part_of_the_memory_and_has_room_for_one(groups: Path) -> None:
    assert Settings().budget_bytes == pytest.approx(0.4 * 16_384 * MIB, rel=1e-6)
    assert Settings(api_workers=4).budget_bytes == pytest.approx(0.1 * 16_384 * MIB, rel=1e-6)
    assert Settings(memory_budget_mb=500).budget_bytes == 500 * MIB
    assert Settings(api_workers=64).budget_bytes == 160 * MIB  # the largest request must fit
    with pytest.raises(ValueError, match="at least 160"):
        Settings(memory_budget_mb=100)
