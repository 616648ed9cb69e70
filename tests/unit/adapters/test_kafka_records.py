"""From the client's records to columns."""

from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord

from sidecar.adapters.kafka_records import Unreadable, as_it_is, record_batch
from sidecar.events import Span
from tests.unit.adapters.wire import wire_batch

ZERO, ONE = TopicPartition("events", 0), TopicPartition("events", 1)


def records(key_deserializer: Any) -> Iterator[Any]:
    """Parse two records off the wire, as a consumer does."""
    content = wire_batch([(b"k", b"v", [("h", b"1")]), (None, None, [])], timestamp_ms=77)
    return iter(
        PartitionRecords(
            ZERO,
            MemoryRecords(content),
            None,
            0,
            key_deserializer,
            None,
            check_crcs=True,
            isolation_level=0,
        )
    )


def test_a_marked_consumer_gets_the_parsed_records_themselves() -> None:
    found = list(records(as_it_is))

    assert not any(isinstance(record, ConsumerRecord) for record in found)
    assert [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in found] == [
        (0, 77, b"k", b"v", [("h", b"1")]),
        (1, 77, None, None, []),
    ]


@pytest.mark.parametrize("deserializer", [None, lambda key: key])
def test_every_other_consumer_gets_what_the_client_makes(deserializer: Any) -> None:
    found = list(records(deserializer))

    assert all(isinstance(record, ConsumerRecord) for record in found)
    assert [(r.partition, r.offset, r.key) for r in found] == [(0, 0, b"k"), (0, 1, None)]


@pytest.mark.parametrize("deserializer", [as_it_is, None], ids=["parsed", "made"])
def test_both_kinds_of_record_make_the_same_batch(deserializer: Any) -> None:
    batch = record_batch("events", {ZERO: list(records(deserializer))})

    assert batch.spans == (Span(0, 0, 2),)
    assert batch.offsets.tolist() == [0, 1]
    assert batch.timestamps_ms.tolist() == [77, 77]
    assert (batch.keys, batch.values) == ([b"k", None], [b"v", None])
    assert [list(headers) for headers in batch.headers] == [[("h", b"1")], []]
    assert batch.unreadable == ()


def test_partitions_follow_each_other_and_unreadable_rows_are_named() -> None:
    read = list(records(as_it_is))

    batch = record_batch("events", {ONE: [Unreadable(5), Unreadable(6)], ZERO: read})

    assert batch.spans == (Span(1, 0, 2), Span(0, 2, 4))
    assert batch.partitions().tolist() == [1, 1, 0, 0]
    assert batch.offsets.tolist() == [5, 6, 0, 1]
    assert batch.timestamps_ms.tolist() == [-1, -1, 77, 77]
    assert batch.values == [None, None, b"v", None]
    assert batch.unreadable == (0, 1)
