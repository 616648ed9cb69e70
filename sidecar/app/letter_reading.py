"""Opens the dead-letter topic of a config and reads the letters that are wanted."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec import UNSET

from sidecar.adapters.kafka_letters import LetterTopic
from sidecar.app.letters import Letter, Wanted, letters_of
from sidecar.bundle.load import load_bundle
from sidecar.config.defaults import resolve
from sidecar.config.settings import SidecarSettings


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
