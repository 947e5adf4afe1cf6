"""The items of a batch wait for room without keeping what they decoded."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from api.v1.batch import Batch, Input
from api.v1.schemas import ClassifyRequest, ItemError
from core.errors import TooManyRequests, Unprocessable
from core.memory import Budget, hold, lease
from core.settings import MOST_BATCH_ITEMS
from tasks.questions import questions

SMALL = 1 << 16  # bytes of JSON that are parsed in the event loop
DECODED = 1000  # bytes of each try
DOWNLOADED = 10  # bytes of all tries
TRIES = 5


async def _asked(budget: Budget) -> tuple[list[Any], list[int]]:
    """The entries of a batch whose model has no room for some time, and what is held in each wait."""
    waits: list[int] = []

    async def answer(*_: object) -> None:
        waits.append(budget.used)
        hold(DECODED)
        if len(waits) < TRIES:
            raise TooManyRequests("busy", retry_after=0.001)
        raise Unprocessable("no speech was found in the recording")

    context: Any = SimpleNamespace(settings=SimpleNamespace(request_timeout_s=60.0), answer=answer)
    with lease(budget):
        batch = Batch(context, questions()["audio-scene"], [Input("a.wav", b"x")], asyncio.get_running_loop().time())
        return [entry async for entry in batch.entries()], waits


def test_an_item_that_waits_for_a_model_holds_nothing_of_earlier_tries() -> None:
    """They added up, until one batch had taken the memory of all callers and failed itself."""
    budget = Budget(2 * DECODED)
    (entry,), waits = asyncio.run(_asked(budget))
    assert waits == [0] * TRIES
    assert isinstance(entry, ItemError)
    assert entry.code == 422
    assert budget.used == 0


async def _downloaded(budget: Budget) -> tuple[list[Any], list[str], list[int]]:
    """The entries of a batch with an address, what was downloaded, and what is held in each wait."""
    downloads: list[str] = []
    waits: list[int] = []

    async def download(_: object, url: str) -> bytes:
        downloads.append(url)
        hold(DOWNLOADED)
        return b"x"

    async def answer_downloaded(_: object, data: bytes) -> None:
        assert data == b"x"
        waits.append(budget.used)
        hold(DECODED)
        if len(waits) < TRIES:
            raise TooManyRequests("busy", retry_after=0.001)
        raise Unprocessable("no speech was found in the recording")

    settings = SimpleNamespace(request_timeout_s=60.0)
    context: Any = SimpleNamespace(settings=settings, download=download, answer_downloaded=answer_downloaded)
    item = Input("a.wav", "http://a.example/a.wav", is_url=True)
    with lease(budget):
        batch = Batch(context, questions()["audio-scene"], [item], asyncio.get_running_loop().time())
        return [entry async for entry in batch.entries()], downloads, waits


def test_an_item_that_waits_for_a_model_is_downloaded_once() -> None:
    """It was downloaded again for each try, from a server that is not ours."""
    budget = Budget(2 * (DECODED + DOWNLOADED))
    (entry,), downloads, waits = asyncio.run(_downloaded(budget))
    assert downloads == ["http://a.example/a.wav"]
    assert waits == [DOWNLOADED] * TRIES
    assert isinstance(entry, ItemError)
    assert entry.code == 422
    assert budget.used == 0


def test_items_beyond_any_limit_are_not_looked_at() -> None:
    """Each was described before the body was refused, which held up all other requests for a third of a second."""
    items = ",".join(["{}"] * (SMALL // 3 - 10))
    with pytest.raises(ValidationError) as caught:
        ClassifyRequest.model_validate_json(f'{{"items":[{items}]}}')
    (error,) = caught.value.errors()
    assert error["loc"] == ("items",)
    assert str(MOST_BATCH_ITEMS) in error["msg"]
