"""Whether ``Retry-After`` can be trusted: callers in a loop on the AI-voice route, who come back when they are told.

``python -m benchmarks.overload`` starts the bundle, asks it from 300 clients for three minutes, and prints how many of
those who came back were let in, or were told a longer time that held.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.served import DATA, KEY, Bundle, serve

CLIENTS, SECONDS = 300, 180.0
LATE_S = 0.1  # longest time by which a client comes later than it was told
FIRST_S = 2.0  # within which the clients ask for the first time
ANSWER_S = 90.0


@dataclass
class Seen:
    """What the clients saw.

    Attributes:
        statuses: How many answers of each.
        kept: How often a client came back when it was told, and was let in.
        later: How often it was told a longer time instead, and was let in then.
        broken: How often it was told a longer time, and was refused again then.
        told_s: Every ``Retry-After`` (seconds).
        answer_s: Time to each answer of 200 (seconds).
    """

    statuses: Counter[int] = field(default_factory=Counter)
    kept: int = 0
    later: int = 0
    broken: int = 0
    told_s: list[int] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)

    @property
    def returned(self) -> int:
        """How often a client came back, and what became of it is known."""
        return self.kept + self.later + self.broken


async def caller(http: aiohttp.ClientSession, url: str, body: bytes, seen: Seen, end: float) -> None:
    """Asks again and again until the end; waits where it is told to."""
    chance = random.Random()
    await asyncio.sleep(chance.uniform(0, FIRST_S))
    refusals = 0  # in a row
    while time.monotonic() < end:
        asked = time.monotonic()
        headers = {"content-type": "application/json", "x-api-key": KEY}
        async with http.post(url, data=body, headers=headers) as answer:
            await answer.read()
            status, later_s = answer.status, int(answer.headers.get("retry-after", 0))
        seen.statuses[status] += 1
        if status != 429:
            seen.answer_s.append(time.monotonic() - asked)
            seen.kept += refusals >= 1
            seen.later += refusals >= 2
            refusals = 0
            continue
        refusals += 1
        seen.broken += refusals >= 3
        seen.told_s.append(later_s)
        await asyncio.sleep(later_s + chance.uniform(0, LATE_S))


async def ask(bundle: Bundle, clients: int, seconds: float) -> Seen:
    """Lets so many clients ask for so long."""
    voice = base64.b64encode((DATA / "ai_voice" / "ai_ta_espeak.mp3").read_bytes()).decode()
    body = f'{{"language": "Tamil", "audioFormat": "mp3", "audioBase64": "{voice}"}}'.encode()
    seen = Seen()
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=ANSWER_S)
    ) as http:
        end = time.monotonic() + seconds
        url = f"{bundle.url}/api/voice-detection"
        await asyncio.gather(*(caller(http, url, body, seen, end) for _ in range(clients)))
    return seen


def report(seen: Seen, clients: int, seconds: float) -> str:
    """What was seen, in words."""
    told, answers = sorted(seen.told_s) or [0], sorted(seen.answer_s) or [0.0]
    return "\n".join(
        [
            f"{clients} clients for {seconds:g} s: {dict(seen.statuses)}, {len(seen.answer_s) / seconds:.1f} answers/s",
            f"answered after {answers[len(answers) // 2]:.1f} s (median), {answers[-1]:.1f} s (longest)",
            f"told to wait {told[len(told) // 2]} s (median), {told[-1]} s (longest)",
            f"came back when told: {seen.returned}; let in {seen.kept / max(1, seen.returned):.0%}, "
            f"with those told a longer time that held {(seen.kept + seen.later) / max(1, seen.returned):.0%}",
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options = parser.parse_args(arguments)
    with serve(Path(os.environ["BENTOML_HOME"]), {}) as bundle:
        seen = asyncio.run(ask(bundle, options.clients, options.seconds))
    print(report(seen, options.clients, options.seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
