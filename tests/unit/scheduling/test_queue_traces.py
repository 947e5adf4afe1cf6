"""What the queue says of a batch in the trace of each request: how long it waited, and the call that carried it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

from core import tracing
from core.errors import Unavailable
from models.messages import InferenceRequest, InferenceResult
from scheduling.queue import AHEAD_S, ModelQueue
from tests.support.queued import Runner, item, known, settle
from tests.support.simulated import anyio_backend, clock  # noqa: F401 - fixtures

pytestmark = pytest.mark.anyio

WAITED_S = 0.5
Spans = dict[tuple[str, str], ReadableSpan]


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Keeps the spans of the test."""
    made, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    tracing.use(provider)
    yield made
    tracing.use(None)


def spans(exporter: InMemorySpanExporter) -> Spans:
    """By trace and name."""
    found: Spans = {}
    for span in exporter.get_finished_spans():
        assert span.context is not None
        found[format_trace_id(span.context.trace_id), span.name] = span
    return found


def parent(span: ReadableSpan) -> str:
    assert span.parent is not None
    return format_span_id(span.parent.span_id)


def identity(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_span_id(span.context.span_id)


async def ask(queue: ModelQueue, trace: str) -> None:
    with tracing.request({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}):
        await queue.submit(item(1))


async def test_the_call_of_a_batch_is_a_step_of_each_request_in_it(exporter: InMemorySpanExporter) -> None:
    sent: list[list[InferenceRequest]] = []
    runner = Runner()

    async def call(requests: Sequence[InferenceRequest]) -> Sequence[InferenceResult]:
        sent.append(list(requests))
        return await runner(requests)

    alone, *together = traces = [digit * 32 for digit in "123"]
    queue = ModelQueue("m", call)
    known(queue, 1.1 * AHEAD_S)  # too slow for a batch ahead, and fast enough for two items in a batch
    runner.open.clear()
    tasks = []
    for trace in traces:  # the first is under way when the others come
        tasks.append(asyncio.create_task(ask(queue, trace)))
        await settle()
    await asyncio.sleep(WAITED_S)
    runner.open.set()
    await asyncio.gather(*tasks)

    found = spans(exporter)
    calls = {trace: found[trace, "call m"] for trace in traces}
    for trace, waited_s in zip(traces, (0.0, WAITED_S, WAITED_S), strict=True):
        waited, called = found[trace, "queue m"], calls[trace]
        assert parent(waited) == parent(called) == identity(found[trace, "request"])
        assert waited.start_time is not None
        assert waited.end_time is not None
        assert waited.end_time - waited.start_time == pytest.approx(waited_s * 1e9, abs=1000)
        assert called.kind is SpanKind.CLIENT
    assert [dict(calls[trace].attributes or {}) for trace in traces] == [{"bundle.items": n} for n in (1, 2, 2)]
    assert not calls[alone].links
    for trace, other in (together, together[::-1]):
        assert [format_span_id(link.context.span_id) for link in calls[trace].links] == [identity(calls[other])]
    carried = [[request.traceparent.split("-")[1:3] for request in batch] for batch in sent]
    named = {trace: [trace, identity(calls[trace])] for trace in traces}
    assert carried == [[named[alone]], [named[trace] for trace in together]]


async def test_a_call_that_fails_is_marked_so(exporter: InMemorySpanExporter) -> None:
    runner, trace = Runner(), "4" * 32
    runner.error = Unavailable("down", retry_after=3)
    with pytest.raises(Unavailable):
        await ask(ModelQueue("m", runner), trace)
    found = spans(exporter)
    assert dict(found[trace, "call m"].attributes or {})["error.type"] == "Unavailable"
    assert found[trace, "queue m"].status.is_unset  # the wait did not fail
