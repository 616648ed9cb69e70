"""What is known of topics stays known when a look at them gets no answer."""

from typing import Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from sidecar.adapters import kafka_producer
from sidecar.adapters.kafka_batches import Run, TopicRules
from sidecar.adapters.kafka_producer import BATCH_BYTES, ProducerFactory
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundSlice


class Cluster:
    """The client of a producer; its topics have two partitions."""

    def __init__(self) -> None:
        self.client = self

    async def fetch_all_metadata(self) -> "Cluster":
        return self

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1} if topic == "out" else set()

    async def partitions_for(self, topic: str) -> set[int]:
        return self.partitions_for_topic(topic)


def factory(*topics: str) -> ProducerFactory:
    return ProducerFactory(KafkaSettings(bootstrap_servers=["127.0.0.1:1"]), topics, "test", {})


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> dict[str, TopicRules]:
        raise TimeoutError

    monkeypatch.setattr(kafka_producer, "topic_rules", silent)


async def test_limits_stay_known_when_a_look_gets_no_answer(no_answer: None) -> None:
    made, producer = factory("out"), Cluster()
    made.rules = {"out": TopicRules(1, 50_000, needs_key=True)}

    changed = await made.look_again(producer, refused=True)  # type: ignore[arg-type]

    assert changed  # the number of partitions is known by other means
    assert made.rules == {"out": TopicRules(2, 50_000, needs_key=True)}


async def test_what_was_never_known_is_learned_from_refusals(no_answer: None) -> None:
    made, producer = factory("out"), Cluster()
    part = OutboundSlice("out", 0, [None] * 2, [b"x"] * 2, None, [0, 1])

    await made._look(producer)  # type: ignore[arg-type]
    before = made.batch_limit("out")
    made.learn(Run(part, 0, 0, 2), MessageSizeTooLargeError())
    after = made.batch_limit("out")
    made.learn(Run(part, 0, 0, 1), MessageSizeTooLargeError())

    assert made.rules == {"out": TopicRules(2)}
    assert (before, after) == (BATCH_BYTES, BATCH_BYTES // 2)
    assert made.batch_limit("out") == after  # one record alone says nothing of batches


async def test_a_topic_that_is_not_there_is_named() -> None:
    producer: Any = Cluster()

    with pytest.raises(SinkUnavailableError, match="`other` not there"):
        await factory("out", "other").look_again(producer, refused=True)
