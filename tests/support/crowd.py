"""Many who ask at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx

from tests.support.served import Bundle

CROWD = 24
START_S = 30.0  # until all have a client


def at_once(bundle: Bundle, ask: Callable[[httpx.Client], httpx.Response]) -> list[httpx.Response]:
    """Asks from ``CROWD`` threads at the same moment."""
    gate = threading.Barrier(CROWD, timeout=START_S)

    def one(_: int) -> httpx.Response:
        with bundle.client() as client:
            gate.wait()
            return ask(client)

    with ThreadPoolExecutor(CROWD) as crowd:
        return list(crowd.map(one, range(CROWD)))


def too_many(bundle: Bundle, ask: Callable[[httpx.Client], httpx.Response]) -> list[httpx.Response]:
    """A crowd of clients, some of which should be refused.

    A process of the API refuses no request before it knows the throughput of its model, so one that has not answered
    yet may let a whole crowd in: then it knows, and the next crowd is the one that counts.
    """
    for _ in range(4):
        answers = at_once(bundle, ask)
        if any(answer.status_code == 429 for answer in answers):
            break
    return answers
