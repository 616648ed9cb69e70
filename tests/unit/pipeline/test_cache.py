"""Unit: pipeline.cache."""

from sidecar.pipeline.cache import Answer, DecisionCache


def cache(max_entries: int = 100, max_age_ms: int = 1_000) -> DecisionCache:
    return DecisionCache(max_age_ms, max_entries)


def answer(label: int, event_time_ms: int = 0) -> Answer:
    return label, 0.5, event_time_ms


def keep(kept: DecisionCache, keys: list[bytes | None], answers: list[Answer]) -> None:
    kept.update(zip(keys, answers, strict=True), len(keys))


def test_the_last_answer_of_a_key_counts() -> None:
    kept = cache()
    keep(kept, [b"a", b"b", b"a"], [answer(1), answer(2), answer(3)])

    assert [kept.get(key, 0) for key in (b"a", b"b", b"c")] == [answer(3), answer(2), None]


def test_an_answer_stands_in_up_to_its_maximum_age_of_event_time() -> None:
    kept = cache(max_age_ms=1_000)
    keep(kept, [b"a"], [answer(1, event_time_ms=5_000)])

    assert [kept.get(b"a", time_ms) is not None for time_ms in (0, 5_000, 6_000, 6_001)] == [
        True, True, True, False,
    ]  # fmt: skip


def test_a_record_without_key_has_no_answer() -> None:
    kept = cache()
    keep(kept, [None], [answer(1)])

    assert kept.get(None, 0) is None


def test_the_oldest_half_goes_when_the_cache_is_full() -> None:
    kept = cache(max_entries=4)
    for at in range(6):
        keep(kept, [b"%d" % at], [answer(at)])

    assert [at for at in range(6) if kept.get(b"%d" % at, 0)] == [4, 5]
    keep(kept, [b"6"], [answer(6)])
    assert [at for at in range(7) if kept.get(b"%d" % at, 0)] == [4, 5, 6]


def test_a_cache_of_one_keeps_the_last() -> None:
    kept = cache(max_entries=1)
    keep(kept, [b"a", b"b"], [answer(1), answer(2)])

    assert [kept.get(key, 0) for key in (b"a", b"b")] == [None, answer(2)]
    assert len(kept) == 1


def test_a_cleared_cache_is_empty() -> None:
    kept = cache(max_entries=4)
    keep(kept, [b"a", b"b", b"c"], [answer(1)] * 3)
    kept.clear()

    assert len(kept) == 0
    assert kept.get(b"a", 0) is None
