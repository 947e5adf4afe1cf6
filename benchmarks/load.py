"""Closed-loop clients: each sends its next request when the last one has been answered.

A process of its own, started for each measurement:
``python -m benchmarks.load URL BODIES form|raw CLIENTS SECONDS PATIENCE``.
Bodies are made before the clock starts, and what the clients themselves cost is reported beside the answers.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import aiohttp

from benchmarks import clips

VOICES = 64  # different recordings


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        clients: How many there were.
        seconds: From the first request to the last answer.
        latencies_s: Of each good answer.
        waiting_s: How long those had waited who had no answer when patience ended.
        errors: Answers other than 200, and broken connections, by what they were.
        client_cpu_s: Processor time of the clients themselves.
    """

    clients: int
    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    waiting_s: list[float] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    client_cpu_s: float = 0.0


def bodies(kind: str) -> list[clips.Body]:
    """What is sent: ``voices``, ``faces``, or one voice of so many seconds."""
    if kind == "voices":
        return clips.voices(VOICES)
    if kind == "faces":
        return clips.faces()
    file = clips.recording(float(kind))
    return [clips.Body(clips.form("audio", "voice.wav", file), file)]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the clients do.

    Attributes:
        url: Where they send.
        sent: What, in turn.
        raw: The file itself, not a form.
        start: On the clock of ``time.perf_counter``.
        end: When no request is begun any more.
        drain_s: For answers that are on their way then.
    """

    url: str
    sent: Iterator[clips.Body]
    raw: bool
    start: float
    end: float
    drain_s: float


async def measure(clients: int, url: str, sent: list[clips.Body], raw: bool, seconds: float, drain_s: float) -> Seen:
    """Keeps clients busy for so long."""
    seen = Seen(clients)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        start, cpu = time.perf_counter(), time.process_time()
        plan = Plan(url, itertools.cycle(sent), raw, start, start + seconds, drain_s)
        tasks = [asyncio.create_task(_client(session, plan, seen)) for _ in range(clients)]
        await asyncio.wait(tasks, timeout=seconds + drain_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        seen.client_cpu_s = time.process_time() - cpu
    return seen


async def _client(session: aiohttp.ClientSession, plan: Plan, seen: Seen) -> None:
    while (begun := time.perf_counter()) < plan.end:
        body = next(plan.sent)
        try:
            what = await _ask(session, plan, body)
        except asyncio.CancelledError:
            seen.waiting_s.append(time.perf_counter() - begun)
            raise
        now = time.perf_counter()
        if what:
            seen.errors[what] = seen.errors.get(what, 0) + 1
            await asyncio.sleep(0.1)
        else:
            seen.latencies_s.append(now - begun)
        seen.seconds = now - plan.start


async def _ask(session: aiohttp.ClientSession, plan: Plan, body: clips.Body) -> str:
    """Sends one request; what went wrong, or nothing."""
    data = body.file if plan.raw else body.form
    headers = {"content-type": "application/octet-stream" if plan.raw else body.content_type}
    try:
        async with session.post(plan.url, data=data, headers=headers) as response:
            await response.read()
            return "" if response.status == 200 else str(response.status)
    except aiohttp.ClientError as error:
        return type(error).__name__


def main(arguments: list[str]) -> None:
    """Measures once and prints what was seen."""
    url, kind, form, clients, seconds, patience = arguments
    seen = asyncio.run(measure(int(clients), url, bodies(kind), form == "raw", float(seconds), float(patience)))
    print(json.dumps(asdict(seen)))


if __name__ == "__main__":
    main(sys.argv[1:])
