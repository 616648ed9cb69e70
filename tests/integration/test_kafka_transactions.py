"""Transactions on a real broker: what is seen, who is fenced, what is refused."""

import asyncio
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from loadtests.faults.aborted import Batch, batches
from sidecar.adapters import kafka_producer
from sidecar.adapters.kafka_transactions import KafkaTransactions
from sidecar.config.settings import KafkaSettings
from sidecar.config.values import Duration
from sidecar.errors import SinkUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, Refusal
from tests.brokers.kafka import KafkaBroker
from tests.integration.service import Topics

pytestmark = pytest.mark.kafka

NO_STATE = OutboundBatch(())


@dataclass
class Bench:
    """Topics of one test and the transactions that write to them."""

    topics: Topics
    made: list[KafkaTransactions] = field(default_factory=list)

    async def transactions(
        self, *, recycle_records: int = 1_000_000, compression: str = "none"
    ) -> KafkaTransactions:
        settings = KafkaSettings(
            bootstrap_servers=[self.topics.bootstrap],
            request_timeout=Duration(5_000),
            delivery_timeout=Duration(20_000),
            compression=compression,  # type: ignore[arg-type]
        )
        made = KafkaTransactions(
            settings,
            [self.topics.decisions, self.topics.letters],
            "test",
            events=self.topics.events,
            group=self.topics.group,
            id_prefix=f"{self.topics.group}.{self.topics.events}.",
            recycle_records=recycle_records,
        )
        self.made.append(made)
        await made.start()
        return made

    async def close(self) -> None:
        for made in self.made:
            await made.close(5)

    def batch(self, values: Mapping[int, Sequence[bytes]]) -> OutboundBatch:
        return OutboundBatch(
            tuple(
                OutboundSlice(
                    self.topics.decisions, p, [b"key"] * len(each), each, None, range(len(each))
                )
                for p, each in values.items()
            )
        )

    def seen(self, partition: int) -> list[bytes | None]:
        """Give what readers of committed records see."""
        found = self.topics.read(self.topics.decisions)
        return [record.value for record in found if record.partition == partition]


@pytest.fixture
def bench(kafka_topics: Topics) -> Bench:
    return Bench(kafka_topics)


async def sent(to: KafkaTransactions, batch: OutboundBatch) -> Sequence[Refusal]:
    return await (await to.send(batch))


def numbered(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % at for at in range(first, first + count)]


async def test_nothing_is_seen_before_the_commit_and_all_of_it_after(bench: Bench) -> None:
    once = await bench.transactions()
    await once.begin([0, 1])
    await sent(once, bench.batch({0: numbered(3), 1: numbered(2)}))
    before = bench.seen(0), bench.topics.committed()

    await once.commit({0: 30, 1: 20}, NO_STATE)

    assert before == ([], dict.fromkeys(range(4), 0))
    assert (bench.seen(0), bench.seen(1)) == (numbered(3), numbered(2))
    assert bench.topics.committed() == {0: 30, 1: 20, 2: 0, 3: 0}
    await bench.close()


async def test_state_is_committed_with_its_offsets(bench: Bench) -> None:
    once = await bench.transactions()
    await once.begin([0])

    await once.commit({0: 5}, bench.batch({0: [b"state"]}))

    assert bench.seen(0) == [b"state"]
    assert bench.topics.committed()[0] == 5
    await bench.close()


async def test_state_is_committed_where_no_offset_has_moved(bench: Bench) -> None:
    once = await bench.transactions()
    await once.begin([0, 1])

    await once.commit({1: 5}, bench.batch({0: [b"state"]}))
    await once.commit({}, bench.batch({0: [b"more"]}))

    assert bench.seen(0) == [b"state", b"more"]
    assert bench.topics.committed() == {0: 0, 1: 5, 2: 0, 3: 0}
    await bench.close()


async def test_whoever_begins_a_partition_puts_out_the_one_before(bench: Bench) -> None:
    old, new = await bench.transactions(), await bench.transactions()
    await old.begin([0, 1])
    await sent(old, bench.batch({0: [b"old"], 1: [b"old"]}))

    await new.begin([0])
    await sent(new, bench.batch({0: [b"new"]}))
    await new.commit({0: 9}, NO_STATE)
    with pytest.raises(SinkUnavailableError):
        await old.commit({0: 3}, NO_STATE)
    with pytest.raises(SinkUnavailableError):
        await old.send(bench.batch({0: [b"late"]}))

    assert bench.seen(0) == [b"new"]
    assert bench.topics.committed()[0] == 9
    await bench.close()


async def test_what_is_in_line_behind_a_fence_is_given_up_as_well(bench: Bench) -> None:
    old, new = await bench.transactions(), await bench.transactions()
    await old.begin([0])
    await new.begin([0])

    under_way = [await old.send(bench.batch({0: [b"late"]})) for _ in range(3)]
    outcomes = await asyncio.gather(*under_way, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [SinkUnavailableError] * 3
    assert bench.seen(0) == []
    await bench.close()


async def test_a_failure_of_an_older_assignment_does_not_keep_the_next_one_out(
    bench: Bench,
) -> None:
    once, other = await bench.transactions(), await bench.transactions()
    await once.begin([0])
    await other.begin([0])
    with pytest.raises(SinkUnavailableError):
        await sent(once, bench.batch({0: [b"fenced"]}))

    await once.begin([0])
    await sent(once, bench.batch({0: [b"mine again"]}))
    await once.commit({0: 2}, NO_STATE)

    assert bench.seen(0) == [b"mine again"]
    await bench.close()


async def test_what_is_left_open_is_never_seen(bench: Bench) -> None:
    once = await bench.transactions()
    await once.begin([0])
    await sent(once, bench.batch({0: [b"given up"]}))
    await once.end([0])

    await once.begin([0])
    await sent(once, bench.batch({0: [b"kept"]}))
    await once.commit({0: 1}, NO_STATE)

    assert bench.seen(0) == [b"kept"]
    await bench.close()


async def test_a_partition_that_was_not_begun_cannot_be_written_for(bench: Bench) -> None:
    once = await bench.transactions()

    with pytest.raises(SinkUnavailableError) as raised:
        await once.send(bench.batch({2: [b"x"]}))

    assert raised.value.reason == "fenced"
    await bench.close()


async def test_a_record_that_only_the_broker_refuses_is_found_in_a_few_rounds(
    kafka: KafkaBroker, bench: Bench
) -> None:
    """With compression nobody knows before whether a record is too large."""
    kafka.set_config(bench.topics.decisions, max_message_bytes="2000")
    once = await bench.transactions(compression="snappy")
    values = [*numbered(20), os.urandom(3_000), *numbered(20, first=20)]
    refusals: Sequence[Refusal] | None = None
    rounds = 0

    while refusals is None:
        rounds += 1
        await once.start()
        await once.begin([0])
        try:
            refusals = await sent(once, bench.batch({0: values}))
        except SinkUnavailableError as error:
            assert error.reason == "record_refused"  # noqa: PT017
    await once.commit({0: 41}, NO_STATE)

    assert rounds <= 3
    assert [refusal.row for refusal in refusals] == [20]
    assert bench.seen(0) == numbered(40)
    await bench.close()


async def test_a_limit_that_was_raised_again_is_noticed(
    kafka: KafkaBroker, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_producer, "_LOOK_AGAIN_S", 0.0)
    kafka.set_config(bench.topics.decisions, max_message_bytes="2000")
    once = await bench.transactions()
    large = bench.batch({0: [b"first", b"x" * 3_000]})
    await once.begin([0])
    before = await sent(once, large)
    kafka.set_config(bench.topics.decisions, max_message_bytes="1000000")

    while await sent(once, large):
        pass  # the broker takes a moment to apply what it has taken note of
    await once.commit({0: 2}, NO_STATE)

    assert [refusal.row for refusal in before] == [1]
    assert bench.seen(0)[-2:] == [b"first", b"x" * 3_000]
    await bench.close()


async def test_small_batches_of_one_topic_are_not_those_of_another(
    kafka: KafkaBroker, bench: Bench
) -> None:
    kafka.set_config(bench.topics.decisions, max_message_bytes="200")
    once = await bench.transactions()
    await once.begin([0])
    keys, values = [b"key"] * 10_000, numbered(10_000)

    slices = (OutboundSlice(bench.topics.letters, 0, keys, values, None, range(10_000)),)
    await sent(once, OutboundBatch(slices))
    await once.commit({0: 1}, NO_STATE)

    assert written(kafka, bench.topics.letters)[0][:2] == (0, 9_999)
    await bench.close()


def written(kafka: KafkaBroker, topic: str) -> list[Batch]:
    """Give the batches of partition 0 on the broker's disk."""
    (log,) = (kafka.data / f"{topic}-0").glob("*.log")
    return list(batches(log.read_bytes()))


async def test_a_producer_is_replaced_before_its_sequence_numbers_run_out(
    bench: Bench,
) -> None:
    once = await bench.transactions(recycle_records=5)
    await once.begin([0])

    for at in range(4):
        await sent(once, bench.batch({0: numbered(3, first=3 * at)}))
        await once.commit({0: 3 * at + 3}, NO_STATE)

    assert bench.seen(0) == numbered(12)
    await bench.close()


async def test_a_missing_topic_is_the_reason(kafka: KafkaBroker, bench: Bench) -> None:
    bench.topics = Topics(bench.topics.bootstrap, f"absent-{uuid.uuid4().hex[:8]}")

    with pytest.raises(SinkUnavailableError) as raised:
        await bench.transactions()

    assert raised.value.reason == "topic_missing"
    assert bench.topics.decisions in str(raised.value)
    await bench.close()
