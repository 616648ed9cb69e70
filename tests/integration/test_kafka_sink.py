"""The sink on a real broker: refusals, outages, replaced producers."""

import asyncio
import logging
import uuid
from dataclasses import dataclass

import pytest

from sidecar.adapters import kafka_producer
from sidecar.adapters.kafka_sink import KafkaSink
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Duration
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, Refusal
from tests.brokers.kafka import KafkaBroker
from tests.contracts.benches import read_all, refused
from tests.fakes import Stored

pytestmark = pytest.mark.kafka

LARGE = Stored(b"key", b"x" * 3000)
KEYLESS = Stored(None, b"value")


@dataclass
class Topic:
    """A fresh topic on the session's broker: partition 0 for the sink, 1 to probe with."""

    broker: KafkaBroker
    name: str

    def sink(
        self,
        *,
        delivery_s: float = 30,
        request_s: float = 5,
        recycle_records: int = 1_000_000,
        batches_in_line: int = 4,
    ) -> KafkaSink:
        settings = KafkaSettings(
            bootstrap_servers=[self.broker.bootstrap],
            request_timeout=Duration(round(request_s * 1000)),
            delivery_timeout=Duration(round(delivery_s * 1000)),
        )
        return KafkaSink(
            settings,
            [self.name],
            "test",
            recycle_records=recycle_records,
            batches_in_line=batches_in_line,
        )

    def batch(self, *values: bytes, keys: list[bytes | None] | None = None) -> OutboundBatch:
        keys = keys or [b"key"] * len(values)
        rows = range(100, 100 + len(values))
        return OutboundBatch((OutboundSlice(self.name, 0, keys, values, None, rows),))

    def values(self) -> list[bytes | None]:
        return [record.value for record in read_all(self.broker.bootstrap, self.name, 0)]

    def refuse(self, record: Stored, **config: str) -> None:
        """Change the topic, and wait until it refuses such a record."""
        self.broker.set_config(self.name, **config)
        while not refused(self.broker.bootstrap, self.name, 1, record):
            pass  # the broker takes a moment to apply what it has taken note of


@pytest.fixture
def topic(kafka: KafkaBroker) -> Topic:
    name = f"out-{uuid.uuid4()}"
    kafka.create_topic(name, 2)
    return Topic(kafka, name)


def numbered(count: int) -> list[bytes]:
    return [b"%d" % at for at in range(count)]


async def sent(sink: KafkaSink, batch: OutboundBatch) -> list[Refusal]:
    return list(await (await sink.send(batch)))


async def failure(sink: KafkaSink, batch: OutboundBatch) -> SinkUnavailableError:
    with pytest.raises(SinkUnavailableError) as raised:
        await sent(sink, batch)
    return raised.value


# --- refused records -----------------------------------------------------------------------


async def test_a_record_larger_than_the_topic_takes_is_refused_alone(topic: Topic) -> None:
    topic.broker.set_config(topic.name, max_message_bytes="2000")
    sink = topic.sink()
    await sink.start()
    values = [*numbered(50), b"x" * 3000, *numbered(50)]

    refusals = await sent(sink, topic.batch(*values))

    await sink.close(5)
    assert [(refusal.topic, refusal.row) for refusal in refusals] == [(topic.name, 150)]
    assert "the topic takes 2000" in refusals[0].message
    assert topic.values() == [*numbered(50), *numbered(50)]


async def test_records_that_only_the_broker_refuses_are_found_among_their_neighbours(
    topic: Topic,
) -> None:
    sink = topic.sink()
    await sink.start()
    await sent(sink, topic.batch(b"first"))
    topic.refuse(LARGE, max_message_bytes="2000")
    values = [*numbered(20), b"x" * 3000, *numbered(20), b"y" * 3000, *numbered(20)]

    refusals = await sent(sink, topic.batch(*values))
    later = await sent(sink, topic.batch(b"last"))

    await sink.close(5)
    assert [refusal.row for refusal in refusals] == [120, 141]
    assert later == []
    assert topic.values() == [b"first", *numbered(20) * 3, b"last"]


async def test_a_limit_that_was_raised_again_is_noticed(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "_LOOK_AGAIN_S", 0.0)
    topic.broker.set_config(topic.name, max_message_bytes="2000")
    sink = topic.sink()
    await sink.start()
    before = await sent(sink, topic.batch(LARGE.value or b""))
    topic.broker.set_config(topic.name, max_message_bytes="1000000")
    refusals: list[Refusal] | None = None

    while refusals != []:  # the broker takes a moment to apply what it has taken note of
        refusals = await sent(sink, topic.batch(b"first", LARGE.value or b""))

    await sink.close(5)
    assert len(before) == 1
    assert topic.values()[-2:] == [b"first", LARGE.value]


@pytest.mark.parametrize("compacted_from", ["the_start", "later"])
async def test_a_record_without_a_key_is_refused_by_a_compacted_topic(
    topic: Topic, compacted_from: str
) -> None:
    sink = topic.sink()
    if compacted_from == "the_start":
        topic.broker.set_config(topic.name, cleanup_policy="compact")
    await sink.start()
    await sent(sink, topic.batch(b"first"))
    topic.refuse(KEYLESS, cleanup_policy="compact")

    refusals = await sent(sink, topic.batch(b"a", b"b", b"c", keys=[b"a", None, b"c"]))

    await sink.close(5)
    assert [refusal.row for refusal in refusals] == [101]
    assert topic.values() == [b"first", b"a", b"c"]


async def test_batches_sent_behind_a_refused_one_stay_in_order(topic: Topic) -> None:
    sink = topic.sink()
    await sink.start()
    await sent(sink, topic.batch(b"first"))
    topic.refuse(LARGE, max_message_bytes="2000")

    under_way = [
        await sink.send(topic.batch(b"a", b"x" * 3000, b"b")),
        await sink.send(topic.batch(b"c")),
        await sink.send(topic.batch(b"d")),
    ]
    refusals = await asyncio.gather(*under_way)

    await sink.close(5)
    assert [[refusal.row for refusal in part] for part in refusals] == [[101], [], []]
    assert topic.values() == [b"first", b"a", b"b", b"c", b"d"]


async def test_batches_handed_over_while_the_producer_is_replaced_wait_their_turn(
    topic: Topic,
) -> None:
    sink = topic.sink(batches_in_line=10_000)
    await sink.start()
    await sent(sink, topic.batch(b"first"))
    topic.refuse(LARGE, max_message_bytes="2000")

    refused_one = asyncio.ensure_future(await sink.send(topic.batch(b"a", b"x" * 3000, b"b")))
    behind = []
    while not refused_one.done():
        behind.append(await sink.send(topic.batch(b"behind")))
        await asyncio.sleep(0.005)
    refusals = await asyncio.gather(refused_one, *behind)

    await sink.close(5)
    assert [len(part) for part in refusals] == [1, *[0] * len(behind)]
    assert topic.values() == [b"first", b"a", b"b", *[b"behind"] * len(behind)]


# --- outages -------------------------------------------------------------------------------


async def test_a_topic_that_vanishes_is_the_reason_until_it_is_there_again(
    topic: Topic,
) -> None:
    sink = topic.sink(request_s=2, delivery_s=10)
    await sink.start()
    await sent(sink, topic.batch(b"before"))
    topic.broker.delete_topic(topic.name)

    lost = await failure(sink, topic.batch(b"lost"))
    refused = await failure(sink, topic.batch(b"lost"))
    with pytest.raises(SinkUnavailableError) as raised:
        await sink.start()
    topic.broker.create_topic(topic.name, 2)
    await sink.start()
    refusals = await sent(sink, topic.batch(b"after"))

    await sink.close(5)
    assert (lost.reason, refused.reason) == ("no_leader", "no_leader")
    assert raised.value.reason == "topic_missing"
    assert refusals == []
    assert topic.values() == [b"after"]


async def test_a_broker_that_restarts_costs_time_and_no_record(topic: Topic) -> None:
    sink = topic.sink()
    await sink.start()
    await sent(sink, topic.batch(*numbered(10)))

    await asyncio.to_thread(topic.broker.stop)
    acknowledged = await sink.send(topic.batch(*numbered(10)))
    await asyncio.to_thread(topic.broker.start)
    refusals = await acknowledged

    await sink.close(5)
    assert list(refusals) == []
    assert topic.values() == numbered(10) * 2


async def test_a_broker_that_hangs_ends_in_a_failure_and_a_new_producer_heals(
    topic: Topic,
) -> None:
    sink = topic.sink(request_s=2, delivery_s=1)
    await sink.start()
    await sent(sink, topic.batch(b"before"))
    loop = asyncio.get_running_loop()

    topic.broker.freeze()
    try:
        began = loop.time()
        lost = await failure(sink, topic.batch(b"unknown"))
        with pytest.raises(SinkUnavailableError) as down:
            await sink.start()
        took_s = loop.time() - began
        await sink.close(2)
        took_with_close_s = loop.time() - began
    finally:
        topic.broker.thaw()
    await sink.start()
    refusals = await sent(sink, topic.batch(b"after"))

    await sink.close(5)
    assert lost.reason == "delivery_timeout"
    assert down.value.reason in {"timeout", "broker_unreachable"}
    assert took_s < 15
    assert took_with_close_s < 18
    assert refusals == []
    assert topic.values()[0] == b"before"
    assert topic.values()[-1] == b"after"


async def test_close_ends_in_time_when_the_broker_is_gone(topic: Topic) -> None:
    sink = topic.sink()
    await sink.start()
    loop = asyncio.get_running_loop()

    await asyncio.to_thread(topic.broker.stop)
    try:
        acknowledged = await sink.send(topic.batch(b"pending"))
        began = loop.time()
        await sink.close(2)
        took_s = loop.time() - began
        outcome = await asyncio.gather(acknowledged, return_exceptions=True)
        left = asyncio.all_tasks() - {asyncio.current_task()}
    finally:
        await asyncio.to_thread(topic.broker.start)

    assert took_s < 2.5
    assert [type(error) for error in outcome] == [SinkUnavailableError]
    assert left == set()


# --- the producer --------------------------------------------------------------------------


async def test_a_producer_is_replaced_before_its_sequence_numbers_run_out(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    sink = topic.sink(recycle_records=250)
    caplog.set_level(logging.DEBUG, "aiokafka.producer.producer")
    await sink.start()

    refusals = [await sent(sink, topic.batch(*numbered(100))) for _ in range(5)]

    await sink.close(5)
    started = [r for r in caplog.records if r.message == "Kafka producer started"]
    assert refusals == [[]] * 5
    assert len(started) == 3
    assert topic.values() == numbered(100) * 5


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
async def test_another_client_reads_every_compression(topic: Topic, compression: str) -> None:
    settings = KafkaSettings(
        bootstrap_servers=[topic.broker.bootstrap],
        compression=compression,  # type: ignore[arg-type]
    )
    sink = KafkaSink(settings, [topic.name], "test")
    values = [b"%d " % at + b"abc" * 500 for at in range(2000)]
    await sink.start()

    refusals = await sent(sink, topic.batch(*values))

    await sink.close(5)
    assert refusals == []
    assert topic.values() == values
