"""Names that follow from the bundle."""

from pathlib import Path

import pytest

from sidecar.config.defaults import resolve
from sidecar.config.settings import (
    KafkaSettings,
    ModelSettings,
    SidecarSettings,
    TopicSettings,
)
from sidecar.errors import ConfigError, Finding


def settings(topics: TopicSettings | None = None, group: str = "") -> SidecarSettings:
    return SidecarSettings(
        kafka=KafkaSettings(bootstrap_servers=["broker:9092"], group=group),
        topics=topics or TopicSettings(events="in"),
        model=ModelSettings(bundle=Path("models/credit")),
    )


def test_open_names_follow_from_the_bundle() -> None:
    assert resolve(settings(), "credit", Path("/etc/sidecar")) == SidecarSettings(
        name="credit",
        kafka=KafkaSettings(bootstrap_servers=["broker:9092"], group="credit-sidecar"),
        topics=TopicSettings(
            events="in",
            decisions="credit.decisions",
            dead_letters="credit.dead-letters",
            signals="credit.signals",
            state="credit.state",
        ),
        model=ModelSettings(bundle=Path("/etc/sidecar/models/credit")),
    )


def test_given_names_stay() -> None:
    topics = TopicSettings(events="a", decisions="b", dead_letters="c", signals="d", state="e")

    resolved = resolve(settings(topics, group="mine"), "credit", Path("/"))

    assert (resolved.topics, resolved.kafka.group) == (topics, "mine")


def test_a_default_that_is_taken_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        resolve(settings(TopicSettings(events="credit.decisions")), "credit", Path("/etc"))

    assert error.value.findings == (
        Finding(
            "$.topics.decisions",
            "`credit.decisions` is the topic of `events` too",
            "give each its own topic",
        ),
    )
