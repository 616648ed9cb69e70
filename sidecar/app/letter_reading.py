"""Opens the dead-letter topic of a config and reads the letters that are wanted."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from msgspec import UNSET

from sidecar.adapters.kafka_letters import LetterTopic
from sidecar.adapters.schema_registry import (
    MEND_EXTRA,
    SchemaRegistryClient,
    missing_packages,
)
from sidecar.app.letters import Letter, Wanted, letters_of
from sidecar.bundle.load import load_bundle
from sidecar.config.defaults import resolve
from sidecar.config.settings import SidecarSettings
from sidecar.errors import RegistryUnavailableError
from sidecar.pipeline.framing import framed
from sidecar.ports import Schema, UnknownSchema


def with_names(settings: SidecarSettings) -> SidecarSettings:
    """Fill in the names of the topics; the bundle is read only where the config has no name.

    Raises:
        UserError: The bundle is needed and refused, or two topics have one name.
    """
    name = settings.name
    if name is UNSET:
        limit = settings.model.max_bytes.bytes
        name = load_bundle(settings.model.bundle, max_model_bytes=limit).manifest.name
    return resolve(settings, str(name), settings.model.bundle.parent)


async def read(topic: LetterTopic, wanted: Wanted) -> AsyncGenerator[Letter, None]:
    """Give the wanted letters of a topic, each partition in order.

    Raises:
        UserError: The topic cannot be read; it says why and what helps.
    """
    async with aclosing(topic.batches()) as batches:
        async for batch in batches:
            for letter in letters_of(batch):
                if wanted.takes(letter):
                    yield letter


async def schema_of(
    letter: Letter, settings: SidecarSettings, environ: Mapping[str, str]
) -> Schema | None:
    """Give the schema that a letter names.

    Args:
        letter: The letter.
        settings: Say which registry.
        environ: Where secrets are looked up.

    Returns:
        None when it names none, or the config has no registry; when the registry cannot be
        asked, an `UnknownSchema` that says why.
    """
    found = None if letter.value is None else framed(letter.value, letter.headers)
    if found is None or settings.registry is None:
        return None
    if missing_packages():
        return UnknownSchema(MEND_EXTRA)
    limits, timeout = settings.limits, settings.registry.timeout
    registry = SchemaRegistryClient(settings.registry, environ, max_depth=limits.max_depth)
    try:
        async with asyncio.timeout(timeout.seconds):
            return await registry.schema(found.schema_id)
    except TimeoutError:
        return UnknownSchema(f"the registry did not answer within {timeout}")
    except RegistryUnavailableError as error:
        return UnknownSchema(str(error))
    finally:
        await registry.close()
