"""From outbound slices to batches of the client."""

from collections.abc import Sequence
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from sidecar.adapters.kafka_batches import Run, pack
from sidecar.events import OutboundSlice, Refusal

NO_LIMIT = 1 << 30


def run_of(values: Sequence[bytes], keys: Sequence[bytes | None] | None = None) -> Run:
    keys = keys or [b"key"] * len(values)
    rows = range(1000, 1000 + len(values))
    part = OutboundSlice("decisions", 0, keys, values, None, rows)
    return Run(part, 0, 0, len(values))


def batch_of(size: int) -> BatchBuilder:
    return BatchBuilder(size, 0)


def small() -> BatchBuilder:
    return batch_of(200)


def test_what_fits_goes_out_as_one_batch() -> None:
    run = run_of([b"a", b"b", b"c"])

    packed, refusals = pack(run, small, NO_LIMIT, needs_key=False)

    assert [(one.run, one.batch.record_count()) for one in packed] == [(run, 3)]
    assert refusals == []


def test_nothing_makes_no_batch() -> None:
    assert pack(run_of([]), small, NO_LIMIT, needs_key=False) == ([], [])


def test_a_record_too_large_for_the_topic_is_refused_and_its_neighbours_are_not() -> None:
    run = run_of([b"a", b"x" * 500, b"b"])

    packed, refusals = pack(run, small, 300, needs_key=False)

    assert [(one.run.start, one.run.stop) for one in packed] == [(0, 1), (2, 3)]
    assert [(refusal.topic, refusal.row) for refusal in refusals] == [("decisions", 1001)]


def test_a_record_without_a_key_is_refused_where_keys_are_needed() -> None:
    run = run_of([b"a", b"b", b"c"], [b"k", None, b"k"])

    packed, refusals = pack(run, small, NO_LIMIT, needs_key=True)
    anything, none = pack(run, small, NO_LIMIT, needs_key=False)

    assert [(one.run.start, one.run.stop) for one in packed] == [(0, 1), (2, 3)]
    assert refusals == [Refusal("decisions", 1001, "no key, and the topic is compacted")]
    assert [one.run for one in anything] == [run]
    assert none == []


def test_halves_are_the_whole() -> None:
    left, right = run_of([b"a"] * 5).halves()

    assert [(left.start, left.stop), (right.start, right.stop)] == [(0, 2), (2, 5)]


@given(
    sizes=st.lists(st.integers(0, 400), max_size=40),
    keyless=st.sets(st.integers(0, 39)),
    needs_key=st.booleans(),
)
def test_every_record_is_packed_or_refused_once_and_in_order(
    sizes: list[int], keyless: set[int], needs_key: bool
) -> None:
    keys = [None if at in keyless else b"key" for at in range(len(sizes))]
    run = run_of([b"x" * size for size in sizes], keys)

    packed, refusals = pack(run, small, 300, needs_key=needs_key)

    sent = [at for one in packed for at in range(one.run.start, one.run.stop)]
    refused = [refusal.row - 1000 for refusal in refusals]
    assert sent == sorted(sent)
    assert sorted(sent + refused) == list(range(len(sizes)))
    assert [one.batch.record_count() for one in packed] == [len(one.run) for one in packed]
    assert all(one.batch.size() <= 300 for one in packed)


def test_the_client_still_counts_what_is_appended_beneath_it() -> None:
    open_one, run = batch_of(500), run_of([b"x" * 50] * 20)

    first = pack(run, lambda: batch_of(500), NO_LIMIT, needs_key=False)[0][0]
    while open_one.append(timestamp=7, key=b"key", value=b"x" * 50) is not None:
        pass

    assert len(first.run) == first.batch.record_count() == open_one.record_count()
    assert first.batch.closed()
    assert first.batch.size() == open_one.size()
    assert len(first.batch._build()) == len(open_one._build())


class Opaque:
    """A batch of the client that hides how it is made."""

    def __init__(self) -> None:
        self._inner = batch_of(200)

    def append(self, **record: Any) -> object:
        return self._inner.append(**record)

    def size(self) -> int:
        return int(self._inner.size())


def test_a_client_made_otherwise_is_used_by_its_public_way() -> None:
    run = run_of([b"x" * 50] * 5)

    open_way = pack(run, Opaque, NO_LIMIT, needs_key=False)[0]  # type: ignore[arg-type]

    assert [one.run for one in open_way] == [
        one.run for one in pack(run, small, NO_LIMIT, needs_key=False)[0]
    ]
