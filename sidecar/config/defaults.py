"""Defaults that depend on other settings and on the bundle."""

from pathlib import Path

from msgspec import UNSET
from msgspec.structs import asdict, replace

from sidecar.config.checks import topics_differ
from sidecar.config.settings import SidecarSettings, TopicSettings
from sidecar.errors import ConfigError, Finding


def bundle_path(settings: SidecarSettings, config_dir: Path) -> Path:
    """Give the absolute path of the model bundle.

    Args:
        settings: The settings as loaded.
        config_dir: Folder of the config file, where a relative path starts.
    """
    return (config_dir / settings.model.bundle).absolute()


def resolve(settings: SidecarSettings, bundle_name: str, config_dir: Path) -> SidecarSettings:
    """Fill in every name that was left open.

    Args:
        settings: The settings as loaded.
        bundle_name: Name of the model in the bundle's manifest.
        config_dir: Folder of the config file, where a relative bundle path starts.

    Returns:
        The same settings with a name, a consumer group `<name>-sidecar`, topics
        `<name>.decisions`, `.dead-letters`, `.signals` and `.state`, and an absolute bundle
        path. Names that the config gives stay.

    Raises:
        ConfigError: A default is the name of another topic of the config.
    """
    name = bundle_name if settings.name is UNSET else settings.name
    topics = _fill_topics(settings.topics, str(name))
    if clashes := list(topics_differ(**asdict(topics))):
        findings = [Finding(f"$.topics{c.at}", c.message, c.mend) for c in clashes]
        raise ConfigError(f"the config in {config_dir}", findings)
    return replace(
        settings,
        name=name,
        kafka=replace(settings.kafka, group=settings.kafka.group or f"{name}-sidecar"),
        topics=topics,
        model=replace(settings.model, bundle=bundle_path(settings, config_dir)),
    )


def transactional_id(settings: SidecarSettings, partition: int) -> str:
    """Name the transactions of one input partition.

    It names the partition and not the process: whoever takes the partition over puts out the
    one that had it before.

    Args:
        settings: With every name filled in.
        partition: The input partition.
    """
    return f"{transactional_prefix(settings)}{partition}"


def transactional_prefix(settings: SidecarSettings) -> str:
    """Give what the transactional ids of all input partitions begin with."""
    return f"{settings.kafka.group}.{settings.topics.events}."


def _fill_topics(topics: TopicSettings, name: str) -> TopicSettings:
    filled = {
        key: topic or f"{name}.{key.replace('_', '-')}" for key, topic in asdict(topics).items()
    }
    return TopicSettings(**filled)
