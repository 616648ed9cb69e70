"""Spans to a collector, by OpenTelemetry's SDK and its own exporter over HTTP.

The SDK is the extra `traces`, so it is imported when an endpoint is configured. It sends from a
thread of its own; when the collector does not keep up, spans are left out and nothing waits.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from opentelemetry.trace import Tracer

from sidecar import __version__
from sidecar.adapters.extras import not_installed
from sidecar.config.settings import TraceSettings
from sidecar.errors import Finding, UserError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

MEND_TRACES = "install this package with its extra: pip install 'sidecar[traces]'"

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
# Of one request, below what collectors take.
_MOST_SPANS = 512

T = TypeVar("T")
Counted = Callable[[str, int], None]
"""Told how many spans were `exported`, and how many `failed`. Called from a thread."""


class SpanExport:
    """What makes spans and sends them."""

    def __init__(
        self, settings: TraceSettings, environ: Mapping[str, str], name: str, counted: Counted
    ) -> None:
        """Say where spans go; nothing is sent before `start`.

        Args:
            settings: Address, credentials and bounds.
            environ: Where secrets are looked up.
            name: Of the sidecar, for `service.name`.
            counted: Told what became of spans.

        Raises:
            UserError: The extra is not installed.
        """
        if missing := missing_trace_packages():
            message = f"needs packages that are not installed: {', '.join(missing)}"
            raise UserError("traces", [Finding("$.traces.endpoint", message, MEND_TRACES)])
        self._settings = settings
        self._environ = environ
        self._name = name
        self._counted = counted
        self._provider: TracerProvider | None = None
        self._exporter: Any = None

    def start(self) -> Tracer:
        """Begin to send what the tracer that is given makes.

        Raises:
            UserError: A secret or a certificate cannot be read.
        """
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

        settings = self._settings
        self._exporter = self._open()
        about = {
            "service.name": self._name,
            "service.version": __version__,
            "service.instance.id": str(uuid4()),
        }
        provider = TracerProvider(
            sampler=TraceIdRatioBased(settings.ratio),
            resource=Resource.create(about),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_links=max(1, settings.links)),
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                _counting(self._exporter, self._counted),
                max_queue_size=settings.queue,
                schedule_delay_millis=settings.interval.ms,
                max_export_batch_size=_MOST_SPANS,
            )
        )
        self._provider = provider
        return provider.get_tracer("sidecar", __version__)

    def _open(self) -> Any:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        settings, ca_file = self._settings, _file("ca_file", self._settings.ca_file)
        headers: dict[str, str] = {}
        for index, header in enumerate(settings.headers):
            at = f"$.traces.headers[{index}].value"
            headers[header.name] = _read(at, partial(header.value.reveal, self._environ))
        return OTLPSpanExporter(
            endpoint=settings.endpoint,
            headers=headers,
            timeout=settings.timeout.seconds,
            compression=Compression.Gzip,
            certificate_file=ca_file,
            client_certificate_file=_file("certificate_file", settings.certificate_file),
            client_key_file=_file("key_file", settings.key_file),
            session=None if ca_file is None else _trusting(ca_file),
        )

    async def close(self, timeout_s: float) -> None:
        """Send what waits, as far as the time goes."""
        if self._provider is None:
            return
        provider, done = self._provider, Future[None]()

        def shut() -> None:
            provider.shutdown()
            done.set_result(None)

        # A thread that nobody waits for at the end: the SDK waits half a minute for a
        # collector that does not answer.
        Thread(target=shut, name="traces-shutdown", daemon=True).start()
        await asyncio.wait((asyncio.wrap_future(done),), timeout=timeout_s)
        self._exporter.shutdown()  # no further tries


def _trusting(ca_file: str) -> Any:
    """Give a session of HTTP that trusts this authority alone, whatever the environment says.

    The client takes `REQUESTS_CA_BUNDLE` before what its session was told.
    """
    from requests import Session

    class Trusting(Session):
        def merge_environment_settings(self, *arguments: Any) -> Any:
            return {**super().merge_environment_settings(*arguments), "verify": ca_file}

    return Trusting()


def _counting(exporter: Any, counted: Counted) -> Any:
    """Give an exporter that says what became of spans."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Counting(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result: SpanExportResult = exporter.export(spans)
            exported = result is SpanExportResult.SUCCESS
            counted("exported" if exported else "failed", len(spans))
            return result

        def shutdown(self) -> None:
            """Leave it to whoever opened the exporter."""

    return Counting()


def _file(setting: str, path: Path | None) -> str | None:
    if path is None:
        return None
    # TLS itself would not say which of them is missing.
    _read(f"$.traces.{setting}", path.read_bytes)
    return str(path)


def _read(at: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (OSError, KeyError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        mend = "check the path, or the name of the variable"
        raise UserError("traces", [Finding(at, f"cannot be read: {what}", mend)]) from error


def missing_trace_packages() -> list[str]:
    """Name the packages of the extra that are not installed."""
    return not_installed(_PACKAGES)
