"""A collector of spans: OpenTelemetry's protocol over HTTP, on loopback."""

import gzip
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PATH = "/v1/traces"


class Collector:
    """What was posted to it."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.answers = Event()
        """Nobody gets an answer until it is set."""
        self.answers.set()
        self.url = ""

    @property
    def spans(self) -> list[Any]:
        """Every span, in the order of arrival."""
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """What is said of whoever sent the first of them."""
        attributes = self.requests[0].resource_spans[0].resource.attributes
        return {each.key: each.value.string_value for each in attributes}


def said(span: Any) -> dict[str, Any]:
    """Give the attributes of a span."""
    found = ((each.key, each.value) for each in span.attributes)
    return {key: getattr(value, value.WhichOneof("value")) for key, value in found}


@contextmanager
def collecting(context: ssl.SSLContext | None = None) -> Iterator[Collector]:
    """Listen until the end of the block; with TLS when a context is given."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Encoding"] == "gzip"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            assert self.path == PATH
            collector.answers.wait(30)
            if collector.status == 200:
                request = ExportTraceServiceRequest.FromString(gzip.decompress(body))
                collector.requests.append(request)
                named = {name.lower(): value for name, value in self.headers.items()}
                collector.headers.append(named)
            self.send_response(collector.status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_: Any) -> None:
            return None

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        collector.url = f"{scheme}://127.0.0.1:{server.server_address[1]}{PATH}"
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield collector
        finally:
            collector.answers.set()
            server.shutdown()
