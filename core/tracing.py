"""OpenTelemetry traces: the steps of one request, in the API process and in the runners, exported over OTLP.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or the variable for traces alone) names a collector. While they are off, no
exporter is imported and a step costs one comparison. The other variables of the OpenTelemetry SDK (sampler, headers,
resource, batching) mean what its documentation says. Spans hold names, numbers and ids: no body, key, or URL.

A batch answers several requests at once, so a step of a batch is one span in the trace of each, linked to the others.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal

from core.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

NAMESPACE = "media-classifier"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
STOP_S = 3.0  # a collector that is well takes milliseconds; an orchestrator allows 10 to 30 s for the whole end

# Option of a BentoML service. BentoML makes spans of every request and hop, exported or not, with addresses and queries
# in them; those of this module are enough.
OFF_IN_BENTOML = {"excluded_urls": [".*"]}

Attribute = str | int | float | bool | Sequence[str]
Kind = Literal["internal", "server", "client"]

_tracer: Tracer | None = None
_provider: TracerProvider | None = None


def is_configured(environment: Mapping[str, str]) -> bool:
    """Whether traces are to be exported."""
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return not off and any(environment.get(name) for name in ENDPOINTS)


def unknown_protocol(environment: Mapping[str, str]) -> str | None:
    """The variable that asks for traces over a protocol that is not there, if one does."""
    wrong = (name for name in PROTOCOLS if environment.get(name, PROTOCOL) not in {"", PROTOCOL})
    return next(wrong, None) if is_configured(environment) else None


def start(service: str) -> None:
    """Exports the traces of this process from now on, if that is configured.

    Args:
        service: What the process is, unless ``OTEL_SERVICE_NAME`` says so.
    """
    if _tracer is not None or not is_configured(os.environ):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = Resource.create({"service.name": service, "service.namespace": NAMESPACE, "service.version": VERSION})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: TracerProvider | None) -> None:
    """Makes the spans of this process by a provider from now on; None turns traces off."""
    global _tracer, _provider
    _provider = provider
    _tracer = provider.get_tracer(NAMESPACE, VERSION) if provider is not None else None


def stop() -> None:
    """Exports what is left; for the end of a process, which a signal ends before ``atexit`` is reached.

    A collector that does not answer holds the end up for ``STOP_S`` only.
    """
    if _provider is not None:
        last = threading.Thread(target=_provider.shutdown, daemon=True)
        last.start()
        last.join(STOP_S)


def request(headers: Mapping[str, str]) -> AbstractContextManager[Span | None]:
    """The span of a whole HTTP request, in the trace that its ``traceparent`` header names, if it names one.

    Args:
        headers: Of the request.

    Returns:
        A context manager; inside, steps belong to the request. It gives None where traces are off.
    """
    if _tracer is None:
        return nullcontext()
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = TraceContextTextMapPropagator().extract(headers)
    return _tracer.start_as_current_span(
        "request", parent, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
    )


def name_request(span: Span | None, method: str, route: str, status: int, about: Mapping[str, Attribute]) -> None:
    """Names the span of a request, once its route and its status are known."""
    if span is None:
        return
    span.update_name(f"{method} {route}")
    span.set_attributes(
        {"http.request.method": method, "http.route": route, "http.response.status_code": status, **about}
    )
    if status >= 500:
        _mark_failed(span, str(status))


def step(name: str) -> AbstractContextManager[object]:
    """A step of the current request."""
    return nullcontext() if _tracer is None else _step(_tracer, name)


@contextlib.contextmanager
def _step(tracer: Tracer, name: str) -> Iterator[None]:
    with tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
        try:
            yield
        except BaseException as error:
            _mark_failed(span, type(error).__name__)
            raise


def traceparent() -> str:
    """The current span as the value of a ``traceparent`` header; empty where traces are off."""
    if _tracer is None:
        return ""
    from opentelemetry.trace import get_current_span

    return _traceparent(get_current_span())


def trace_id(traceparent: str) -> str:
    """The trace that a ``traceparent`` belongs to, 32 hexadecimal digits; empty for an empty one."""
    return traceparent.split("-")[1] if traceparent else ""


def waited(name: str, parents: Sequence[str], waits_s: Sequence[float]) -> None:
    """A step that has just ended for several requests: their waiting.

    Args:
        name: Of the step.
        parents: The span that each belongs to, as of ``traceparent``; of those with the same one, the longest counts.
        waits_s: How long each has waited (seconds).
    """
    if _tracer is None:
        return
    now = time.time_ns()
    longest: dict[str, float] = {}
    for parent, wait_s in zip(parents, waits_s, strict=True):
        longest[parent] = max(wait_s, longest.get(parent, 0.0))
    for parent, wait_s in longest.items():
        if parent:
            started = now - int(wait_s * 1e9)
            _tracer.start_span(name, _context(parent), start_time=started).end(now)


def shared(
    name: str, parents: Sequence[str], kind: Kind = "internal", attributes: Mapping[str, Attribute] | None = None
) -> AbstractContextManager[Sequence[str]]:
    """One step for several requests at once: a span in the trace of each, linked to the others.

    Args:
        name: Of the step.
        parents: The span that each belongs to; equal ones share a span, empty ones have none.
        kind: The side of a call between processes that this is.
        attributes: Of every span.

    Returns:
        A context manager that gives the new span for each parent, in the form of ``traceparent``.
    """
    return nullcontext(parents) if _tracer is None else _shared(_tracer, name, parents, kind, attributes or {})


@contextlib.contextmanager
def _shared(
    tracer: Tracer, name: str, parents: Sequence[str], kind: Kind, attributes: Mapping[str, Attribute]
) -> Iterator[Sequence[str]]:
    from opentelemetry.trace import SpanKind

    spans = {
        parent: tracer.start_span(name, _context(parent), SpanKind[kind.upper()], attributes)
        for parent in dict.fromkeys(parents)
        if parent
    }
    for span in spans.values():
        for other in spans.values():
            if other is not span:
                span.add_link(other.get_span_context())
    try:
        yield [_traceparent(spans[parent]) if parent else "" for parent in parents]
    except BaseException as error:
        for span in spans.values():
            _mark_failed(span, type(error).__name__)
        raise
    finally:
        for span in spans.values():
            span.end()


def _mark_failed(span: Span, kind: str) -> None:
    from opentelemetry.trace import StatusCode

    span.set_attribute("error.type", kind)  # the message may quote what a caller sent
    span.set_status(StatusCode.ERROR)


def _traceparent(span: Span) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else ""


def _context(traceparent: str) -> Context:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
