from sidecar.adapters.kafka_batches import Run
from sidecar.adapters.kafka_suspects import Suspects
from sidecar.events import OutboundSlice, Refusal


def run(*values: bytes, topic: str = "out") -> Run:
    rows = range(10, 10 + len(values))
    part = OutboundSlice(topic, 0, [None] * len(values), values, None, rows)
    return Run(part, 0, 0, len(values))


def parts(runs: list[Run]) -> list[tuple[bytes | None, ...]]:
    return [tuple(each.part.values[each.start : each.stop]) for each in runs]


def test_who_is_not_suspected_stays_together() -> None:
    runs, refusals = Suspects().split(run(b"a", b"b"))

    assert (parts(runs), refusals) == ([(b"a", b"b")], [])


def test_the_records_of_a_refused_batch_go_alone_however_they_are_cut() -> None:
    suspects = Suspects()
    suspects.note(run(b"b", b"c"), "too large")

    runs, refusals = suspects.split(run(b"a", b"b", b"c", b"d", b"e"))

    assert parts(runs) == [(b"a",), (b"b",), (b"c",), (b"d", b"e")]
    assert refusals == []


def test_one_that_was_refused_alone_is_left_out_and_reported() -> None:
    suspects = Suspects()
    suspects.note(run(b"b", b"c"), "too large")
    suspects.note(run(b"c"), "too large indeed")

    runs, refusals = suspects.split(run(b"a", b"b", b"c"))

    assert parts(runs) == [(b"a",), (b"b",)]
    assert refusals == [Refusal("out", 12, "too large indeed")]


def test_the_same_bytes_for_another_topic_are_another_record() -> None:
    suspects = Suspects()
    suspects.note(run(b"a"), "refused")

    assert suspects.split(run(b"a", topic="other"))[1] == []


def test_a_commit_clears_everybody() -> None:
    suspects = Suspects()
    suspects.note(run(b"a"), "refused")

    suspects.clear()

    assert suspects.split(run(b"a"))[1] == []
