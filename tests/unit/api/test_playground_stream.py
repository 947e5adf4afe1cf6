"""Answers of the playground that take long: progress, failures before and after it, and callers who leave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from api.ui.questions import respond
from api.ui.views import Report
from api.v1.batch import MEDIA_TYPE
from core.errors import BadRequest, Unavailable
from core.request import CURRENT, RequestState, note_progress

pytestmark = pytest.mark.anyio

REPORT = Report(verdict="male", shares=[], models=[])


@pytest.fixture(autouse=True)
def _request() -> Iterator[None]:
    token = CURRENT.set(RequestState("an-id"))
    yield
    CURRENT.reset(token)


async def lines(response: Response) -> list[dict[str, Any]]:
    """What a caller receives."""
    sent: list[bytes] = []

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        await asyncio.Event().wait()

    await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    return [json.loads(line) for line in b"".join(sent).splitlines()]


async def work(steps: list[tuple[str, int, int]], error: Exception | None = None) -> Report:
    for step in steps:
        note_progress(*step)
        await asyncio.sleep(0.001)
    if error is not None:
        raise error
    return REPORT


async def test_short_answer_is_plain_json() -> None:
    response = await respond(work([("a", 0, 1), ("a", 1, 1)]))
    assert isinstance(response, JSONResponse)
    assert await lines(response) == [{"report": REPORT.model_dump()}]


async def test_progress_is_that_of_all_models_together() -> None:
    response = await respond(work([("a", 0, 3), ("b", 0, 1), ("a", 1, 3), ("b", 1, 1), ("a", 2, 3), ("a", 3, 3)]))
    assert response.media_type == MEDIA_TYPE
    *progress, last = await lines(response)
    shares = [line["progress"] for line in progress]
    assert shares == sorted(shares)
    assert set(shares) <= {0.25, 0.5, 0.75, 1.0}
    assert last == {"report": REPORT.model_dump()}


async def test_failure_before_progress_has_its_own_status() -> None:
    with pytest.raises(BadRequest):
        await respond(work([("a", 0, 3)], BadRequest("not audio")))


async def test_failure_after_progress_is_the_last_line() -> None:
    response = await respond(work([("a", 0, 3), ("a", 1, 3)], Unavailable("the runner is down")))
    last = (await lines(response))[-1]
    assert last["error"]["message"] == "the runner is down"
    assert last["error"]["request_id"] == "an-id"


@pytest.mark.parametrize("after", [0, 1])
async def test_caller_who_leaves_takes_the_work_along(after: int) -> None:
    ended = asyncio.Event()

    async def endless() -> Report:
        try:
            note_progress("a", after, 3)
            await asyncio.Event().wait()
        finally:
            ended.set()
        return REPORT

    async def answer() -> None:
        await lines(await respond(endless()))

    task = asyncio.create_task(answer())
    await asyncio.sleep(0.01)
    task.cancel()
    async with asyncio.timeout(5):
        await ended.wait()
