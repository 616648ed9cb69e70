"""Joins what makes spans with what sends them, where the config says where they go."""

from collections.abc import Mapping

from sidecar.adapters.otlp import SpanExport
from sidecar.app.assembly import Assembly


class Tracing:
    """The life of the spans; nothing at all without an endpoint."""

    def __init__(self, parts: Assembly, environ: Mapping[str, str]) -> None:
        """Check that spans can be sent.

        Args:
            parts: Config, metrics, and what makes spans.
            environ: Where secrets are looked up.

        Raises:
            UserError: The extra that it needs is not installed.
        """
        self._spans = parts.spans
        self._export = None
        if self._spans is not None:
            settings, name = parts.settings, str(parts.settings.name)
            self._export = SpanExport(settings.traces, environ, name, parts.metrics.spans)

    def start(self) -> None:
        """Make and send spans from now on.

        Raises:
            UserError: A secret or a certificate cannot be read.
        """
        if self._spans is not None and self._export is not None:
            self._spans.start(self._export.start())

    async def close(self, timeout_s: float) -> None:
        """End what is open, and send what waits as far as the time goes."""
        if self._spans is not None and self._export is not None:
            self._spans.close()
            await self._export.close(timeout_s)
