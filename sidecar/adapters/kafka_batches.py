"""From outbound slices to batches of the client, within what a topic takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice, repeat

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.admin import DescribeConfigsRequest

from sidecar.adapters.kafka_client import bounded
from sidecar.events import OutboundSlice, Refusal

_TOPIC = 2
_MAX_BYTES = "max.message.bytes"
_CLEANUP = "cleanup.policy"


@dataclass(frozen=True, slots=True)
class TopicRules:
    """What a topic takes, as far as it is known."""

    partitions: int
    max_batch_bytes: int | None = None
    """Largest batch, and so largest record; None when the topic would not say."""
    needs_key: bool = False
    """A compacted topic takes no record without a key."""


@dataclass(frozen=True, slots=True)
class Run:
    """The records `[start, stop)` of a slice, for one output partition."""

    part: OutboundSlice
    partition: int
    start: int
    stop: int

    def __len__(self) -> int:
        """Count the records."""
        return self.stop - self.start

    def halves(self) -> tuple["Run", "Run"]:
        """Split in the middle."""
        middle = (self.start + self.stop) // 2
        return replace(self, stop=middle), replace(self, start=middle)

    def refusal(self, at: int, message: str) -> Refusal:
        """Say that the record at a position of the slice is refused."""
        return Refusal(self.part.topic, self.part.rows[at], message)


@dataclass(frozen=True, slots=True)
class Packed:
    """A run as the client sends it: one batch, taken or refused as a whole."""

    run: Run
    batch: BatchBuilder


def pack(
    run: Run, new_batch: Callable[[], BatchBuilder], max_bytes: int, *, needs_key: bool
) -> tuple[list[Packed], list[Refusal]]:
    """Pack a run into as few batches as it takes.

    Args:
        run: The records.
        new_batch: Gives an empty batch. It takes its first record whatever the size, then as
            many as fit.
        max_bytes: Largest batch with a single record; a larger record is refused.
        needs_key: Whether a record without a key is refused.

    Returns:
        The batches in order, and the records that need not be sent to be refused.
    """
    refusals: list[Refusal] = []
    closed: list[Packed] = []
    batch, begin = new_batch(), run.start
    # One call of the client per record: this is where records become bytes.
    for at, (key, value, headers, time_ms) in enumerate(_records(run), run.start):
        if key is None and needs_key:
            refusals.append(run.refusal(at, "no key, and the topic is compacted"))
            closed.append(Packed(replace(run, start=begin, stop=at), batch))
            batch, begin = new_batch(), at + 1
        elif batch.append(timestamp=time_ms, key=key, value=value, headers=headers) is None:
            closed.append(Packed(replace(run, start=begin, stop=at), batch))
            batch, begin = new_batch(), at
            batch.append(timestamp=time_ms, key=key, value=value, headers=headers)
    closed.append(Packed(replace(run, start=begin), batch))

    packed: list[Packed] = []
    for one in closed:
        if len(one.run) == 1 and one.batch.size() > max_bytes:
            message = f"{one.batch.size()} bytes, and the topic takes {max_bytes}"
            refusals.append(run.refusal(one.run.start, message))
        elif len(one.run):
            packed.append(one)
    return packed, refusals


def _records(
    run: Run,
) -> Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]], int | None]]:
    part = run.part
    headers: Iterable[list[tuple[str, bytes | None]]] = (
        repeat([]) if part.headers is None else map(list, part.headers)
    )
    times_ms = repeat(None) if part.timestamps_ms is None else part.timestamps_ms
    columns = zip(part.keys, part.values, headers, times_ms, strict=False)
    return islice(columns, run.start, run.stop)


async def topic_rules(
    producer: AIOKafkaProducer, topics: Mapping[str, int], timeout_s: float
) -> dict[str, TopicRules]:
    """Ask what topics take.

    The right to read their configuration is not needed: without it the rules are learned from
    refusals, which is slower.

    Args:
        producer: Whose connection is used.
        topics: Number of partitions of each topic.
        timeout_s: Longest wait for an answer.

    Raises:
        KafkaError: There is none.
        TimeoutError: There is none in time.
    """
    request = DescribeConfigsRequest(
        [(_TOPIC, topic, [_MAX_BYTES, _CLEANUP]) for topic in topics]
    )
    network = producer.client
    answer = await bounded(network.send(network.get_random_node(), request), timeout_s)
    configs: dict[str, dict[str, str]] = {
        name: {entry[0]: entry[1] for entry in entries}
        for _code, _message, _type, name, entries in answer.resources
    }
    return {topic: _rules(count, configs.get(topic, {})) for topic, count in topics.items()}


def _rules(partitions: int, config: Mapping[str, str]) -> TopicRules:
    max_bytes = config.get(_MAX_BYTES)
    return TopicRules(
        partitions,
        int(max_bytes) if max_bytes is not None else None,
        "compact" in config.get(_CLEANUP, ""),
    )
