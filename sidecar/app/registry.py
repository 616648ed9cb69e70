"""Builds what looks up schemas, where a registry is configured."""

from collections.abc import Mapping

from sidecar.adapters.schema_registry import SchemaRegistryClient
from sidecar.app.assembly import Assembly
from sidecar.runtime.schemas import SchemaBook


def schema_book(parts: Assembly, environ: Mapping[str, str]) -> SchemaBook | None:
    """Give the schemas of the config's registry; None without one. Nothing is connected yet.

    Args:
        parts: Config, clock and metrics.
        environ: Where secrets are looked up.

    Raises:
        UserError: The extra that it needs is not installed.
    """
    settings = parts.settings
    if settings.registry is None:
        return None
    client = SchemaRegistryClient(
        settings.registry, environ, max_depth=settings.limits.max_depth
    )
    return SchemaBook(client, settings.registry, parts.clock, parts.metrics)
