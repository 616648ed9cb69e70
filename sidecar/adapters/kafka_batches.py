"""From outbound slices to batches of the client, within what a topic takes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, repeat
from typing import Any, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.admin import DescribeConfigsRequest

from sidecar.adapters.kafka_client import bounded
from sidecar.events import OutboundSlice, Refusal

T = TypeVar("T")

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
    packed: list[Packed] = []
    for part in _with_keys(run, refusals) if needs_key else [run]:
        for one in _filled(part, new_batch):
            if len(one.run) == 1 and one.batch.size() > max_bytes:
                message = f"{one.batch.size()} bytes, and the topic takes {max_bytes}"
                refusals.append(run.refusal(one.run.start, message))
            else:
                packed.append(one)
    return packed, sorted(refusals, key=lambda refusal: refusal.row)


def _with_keys(run: Run, refusals: list[Refusal]) -> Iterator[Run]:
    """Cut a run at its records without a key, which are refused."""
    start = run.start
    for at in range(run.start, run.stop):
        if run.part.keys[at] is None:
            refusals.append(run.refusal(at, "no key, and the topic is compacted"))
            yield replace(run, start=start, stop=at)
            start = at + 1
    yield replace(run, start=start)


def _filled(run: Run, new_batch: Callable[[], BatchBuilder]) -> Iterator[Packed]:
    """Put a run into batches, each filled up."""
    while len(run):
        batch = new_batch()
        taken = _fill(batch, run)
        yield Packed(replace(run, stop=run.start + taken), batch)
        run = replace(run, start=run.start + taken)


def _fill(batch: BatchBuilder, run: Run) -> int:
    """Append records until one does not fit, and give how many were taken.

    Not by the client's own `append`, which is Python around the compiled one of its builder and
    half of what a record costs; all that it does beyond that is to count, and to take no more
    once a record did not fit. Should it ever be made another way, it is used as it is.
    """
    part = run.part
    columns: tuple[Iterable[Any], ...] = (
        repeat(None) if part.timestamps_ms is None else _own(part.timestamps_ms, run),
        _own(part.keys, run),
        _own(part.values, run),
        repeat([]) if part.headers is None else map(list, _own(part.headers, run)),
    )
    append = getattr(getattr(batch, "_builder", None), "append", None)
    if append is None or not hasattr(batch, "_relative_offset"):
        return _fill_openly(batch, columns)
    taken = 0
    for metadata in map(append, count(), *columns):
        if metadata is None:
            batch.close()
            break
        taken += 1
    batch._relative_offset = taken
    return taken


def _own(column: Sequence[T], run: Run) -> Iterable[T]:
    return islice(column, run.start, run.stop)


def _fill_openly(batch: BatchBuilder, columns: tuple[Iterable[Any], ...]) -> int:
    taken = 0
    for time_ms, key, value, headers in zip(*columns, strict=False):
        if batch.append(timestamp=time_ms, key=key, value=value, headers=headers) is None:
            break
        taken += 1
    return taken


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
