"""A collector of traces on a free local port: takes OTLP over HTTP, as exporters send it, and keeps what it got."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.served import wait_for


@dataclass(frozen=True)
class Span:
    """One received span; ids are hexadecimal, times in nanoseconds."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, str]
    links: list[tuple[str, str]]


@dataclass
class Collector:
    """A running collector.

    Attributes:
        url: Its address.
        spans: What it got, in order.
        raw: The same as it came.
        headers: Of every request.
        close: Lets it go away.
    """

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    close: Callable[[], None] = lambda: None

    def trace(self, trace: str) -> dict[str, Span]:
        """The spans of a trace by name; of equal names the last."""
        return {span.name: span for span in self.spans if span.trace == trace}

    def wait_for(self, trace: str, *names: str) -> dict[str, Span]:
        """The spans of a trace, as soon as these names are among them."""
        wait_for(lambda: set(names) <= set(self.trace(trace)), 20, why=lambda: (names, sorted(self.trace(trace))))
        return self.trace(trace)

    def take(self, body: bytes) -> None:
        """Keeps one export."""
        self.raw.append(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            about = {item.key: item.value.string_value for item in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(about["service.name"], span) for span in scope.spans]


def _span(service: str, span: object) -> Span:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent
    from opentelemetry.proto.trace.v1.trace_pb2 import Status

    assert isinstance(span, Sent)
    return Span(
        service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
        span.start_time_unix_nano, span.end_time_unix_nano,
        span.status.code == Status.STATUS_CODE_ERROR,
        {item.key: str(item.value) for item in span.attributes},
        [(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
    )  # fmt: skip


@contextlib.contextmanager
def collect() -> Iterator[Collector]:
    """Collects as long as the context lasts."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.headers.append(str(self.headers))
            collector.take(body)
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def close() -> None:
            server.shutdown()
            server.server_close()

        collector.close = close
        try:
            yield collector
        finally:
            close()
