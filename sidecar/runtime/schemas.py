"""The schemas that records name: each is asked for once, and kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from sidecar.clock import Clock
from sidecar.config.settings import RegistrySettings
from sidecar.errors import RegistryUnavailableError
from sidecar.events import RecordBatch
from sidecar.pipeline.framing import NO_SCHEMAS, schema_ids
from sidecar.ports import Schema, SchemaId, SchemaRegistry, Schemas, UnknownSchema
from sidecar.telemetry.metrics import Metrics


class _Kept(NamedTuple):
    """A schema, and until when it counts."""

    schema: Schema
    until_s: float | None
    """Monotonic; None for good: a schema never changes."""


class SchemaBook:
    """Knows the schemas of a registry, as many as are kept."""

    def __init__(
        self,
        registry: SchemaRegistry,
        settings: RegistrySettings,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Begin empty; the registry is asked when a record names a schema."""
        self._registry = registry
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._kept: OrderedDict[SchemaId, _Kept] = OrderedDict()

    async def of(self, records: RecordBatch) -> Schemas:
        """Give every schema that the records of a batch name.

        What was answered before a failure is kept, so that asking again asks for the rest.

        Raises:
            RegistryUnavailableError: The registry gives no answer.
        """
        wanted = schema_ids(records)
        if not wanted:
            return NO_SCHEMAS
        # The batch keeps what it needs, also where that is more than the book may keep.
        found = self._known(wanted)
        missing = iter(wanted - found.keys())
        askers = [
            asyncio.ensure_future(self._ask_all(missing, found))
            for _ in range(min(self._settings.parallel, len(wanted) - len(found)))
        ]
        try:
            await asyncio.gather(*askers)
        finally:
            for asker in askers:
                asker.cancel()
        return found

    def _known(self, wanted: Collection[SchemaId]) -> dict[SchemaId, Schema]:
        now_s = self._clock.monotonic()
        found: dict[SchemaId, Schema] = {}
        for schema_id in wanted:
            kept = self._kept.get(schema_id)
            if kept is None or (kept.until_s is not None and kept.until_s <= now_s):
                continue
            self._kept.move_to_end(schema_id)
            found[schema_id] = kept.schema
        return found

    async def _ask_all(
        self, missing: Iterator[SchemaId], found: dict[SchemaId, Schema]
    ) -> None:
        for schema_id in missing:
            found[schema_id] = await self._ask(schema_id)

    async def _ask(self, schema_id: SchemaId) -> Schema:
        limit = self._settings.timeout
        try:
            async with asyncio.timeout(limit.seconds):
                schema = await self._registry.schema(schema_id)
        except TimeoutError as error:
            self._metrics.registry_asked("unavailable", len(self._kept))
            message = f"the registry did not answer within {limit}"
            raise RegistryUnavailableError("registry_unreachable", message) from error
        except RegistryUnavailableError:
            self._metrics.registry_asked("unavailable", len(self._kept))
            raise
        unknown = isinstance(schema, UnknownSchema)
        until_s = self._clock.monotonic() + self._settings.unknown_for.seconds
        self._kept[schema_id] = _Kept(schema, until_s if unknown else None)
        self._kept.move_to_end(schema_id)
        while len(self._kept) > self._settings.max_schemas:
            self._kept.popitem(last=False)
        self._metrics.registry_asked("unknown" if unknown else "found", len(self._kept))
        return schema

    async def close(self) -> None:
        """Disconnect from the registry."""
        await self._registry.close()
