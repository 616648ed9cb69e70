"""Flow: drift begins and ends once each, whoever counts, and whatever breaks on the way."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest

from sidecar.errors import SinkUnavailableError
from sidecar.events import Signal
from tests.fakes import MemoryLog, MemorySink, MemorySource, MemoryTransactions, Stored
from tests.flows.harness import (
    DECISIONS,
    EVENTS,
    LETTERS,
    SIGNALS,
    STATE,
    Sidecar,
    calibrated,
    reference,
    running,
    written,
)

TOPICS = (DECISIONS, LETTERS, STATE, SIGNALS)
MINUTE = 60_000
START = 1_700_000_040_000
"""Begin of a minute."""
MONITORS = {
    "pane": "1m",
    "windows": ["5m", "15m"],
    "min_records": 100,
    "drift": {"hold": "3m", "resolve": "5m"},
}
CLEAN, SHIFTED = (0.0, 100.0), (0.0, 45.0)
LOUD = range(8, 20)
"""Minutes with the shift."""
ALL = range(45)


def made(log: MemoryLog, source: MemorySource | None = None, **rest: Any) -> Any:
    return running(
        **{
            "source": source or MemorySource(log, EVENTS),
            "topics": TOPICS,
            "state": "one",
            "profile": calibrated(reference(), 5 * MINUTE, 15 * MINUTE),
            "monitors": MONITORS,
            **rest,
        }
    )


def transactions(log: MemoryLog) -> dict[str, Any]:
    delivery = {"mode": "exactly_once", "transaction_interval": "100ms"}
    written_to = (DECISIONS, LETTERS, STATE)
    return {"delivery": delivery, "sink": MemoryTransactions(log, written_to, EVENTS)}


class Part(MemorySource):
    """A member of a group that has other members."""

    def __init__(self, log: MemoryLog, partitions: tuple[int, ...]) -> None:
        super().__init__(log, EVENTS)
        self._share: tuple[int, ...] | None = partitions

    async def deal(self, partitions: Collection[int]) -> None:
        share, self._share = self._share, None
        await super().deal(partitions if share is None else share)


def two_partitions() -> MemoryLog:
    return written(MemoryLog(), 2, TOPICS)


def minute(at: int) -> list[Stored]:
    """Give the events of one minute."""
    rng = np.random.default_rng(at)
    low, high = SHIFTED if at in LOUD else CLEAN
    times = START + at * MINUTE + np.arange(60) * 1_000
    return [
        Stored(
            b"k",
            msgspec.json.encode(
                {"id": f"{time}", "time": int(time), "features": {"amount": amount}}
            ),
            (),
            int(time),
        )
        for time, amount in zip(times, rng.uniform(low, high, 60).tolist(), strict=True)
    ]


def counted(sidecar: Sidecar, time_ms: int) -> bool:
    newest_ms = sidecar.drift.windows.newest_ms
    return newest_ms is not None and newest_ms >= time_ms


async def lived(log: MemoryLog, minutes: Iterable[int], *sidecars: Sidecar) -> None:
    """Let minutes pass, one after the other, as all of these count them."""
    for at in minutes:
        events = minute(at)
        for partition in range(2):
            log.write(EVENTS, partition, *events[partition::2])
        for sidecar in sidecars:
            await sidecar.until(partial(counted, sidecar, START + at * MINUTE + 58_000))
        await sidecars[0].until(
            lambda: all(
                log.committed.get((EVENTS, p)) == len(log.topics[EVENTS][p]) for p in range(2)
            )
        )


def told(log: MemoryLog) -> list[Signal]:
    return [msgspec.json.decode(v, type=Signal) for v in log.values(SIGNALS) if v]


def names(signals: Iterable[Signal], kind: str) -> Counter[tuple[str, str, str]]:
    return Counter((s.subject, s.window, s.severity) for s in signals if s.kind == kind)


def once_each(signals: list[Signal]) -> None:
    began, ended = names(signals, "drift_began"), names(signals, "drift_ended")
    assert set(began.values()) == {1}
    assert began == ended
    assert {"feature", "score", "dataset"} <= {subject for subject, _, _ in began}
    assert {(window, severity) for _, window, severity in began} == {
        (window, severity) for window in ("5m", "15m") for severity in ("warning", "critical")
    }


def test_drift_begins_and_ends_once() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            await lived(log, ALL, sidecar)

        signals = told(log)
        once_each(signals)
        first = signals[0]
        assert (first.name, first.model, first.version) == ("credit", "credit", "7")
        assert first.since < first.event_time
        assert first.evidence.psi is not None
        assert first.evidence.psi > (first.evidence.critical_value or 1)
        assert len({signal.id for signal in signals}) == len(signals)
        assert sidecar.sample("sidecar_signals_total", kind="drift_began") == len(signals) / 2

    asyncio.run(flow())


def test_drift_begins_and_ends_once_across_restarts() -> None:
    async def flow() -> None:
        log, whole = two_partitions(), two_partitions()
        for name, minutes in (("a", range(12)), ("b", range(12, 30)), ("c", range(30, 45))):
            async with made(log, state=name) as sidecar:
                await lived(log, minutes, sidecar)
        async with made(whole) as sidecar:
            await lived(whole, ALL, sidecar)

        once_each(told(log))
        assert told(log) == told(whole)

    asyncio.run(flow())


def test_of_two_replicas_one_speaks_and_both_show_it() -> None:
    async def flow() -> None:
        log = two_partitions()
        left = made(log, Part(log, (0,)), state="left")
        right = made(log, Part(log, (1,)), state="right")
        async with left as speaker, right as follower:
            await lived(log, range(20), speaker, follower)
            await follower.until(lambda: shown(follower) == shown(speaker) != set())
            assert follower.sample("sidecar_signals_total", kind="drift_began") == 0
            await speaker.source.deal([])  # the other takes over what was begun
            await follower.source.deal([0, 1])
            await lived(log, range(20, 45), follower)

        once_each(told(log))

    asyncio.run(flow())


def shown(sidecar: Sidecar) -> set[tuple[str, str, str]]:
    return {(e.window, e.name, e.severity) for e in sidecar.drift.snapshot().episodes}


def test_exactly_once_tells_what_is_committed() -> None:
    async def flow() -> None:
        log = two_partitions()
        for name, minutes in (("a", range(12)), ("b", range(12, 45))):
            async with made(log, state=name, **transactions(log)) as sidecar:
                await lived(log, minutes, sidecar)

        once_each(told(log))

    asyncio.run(flow())


def test_what_a_failed_transaction_has_found_is_found_again_and_told_once() -> None:
    async def flow() -> None:
        log = two_partitions()
        rest = transactions(log)
        async with made(log, **rest) as sidecar:
            await lived(log, range(15), sidecar)
            rest["sink"].hold()
            for at in range(15, 18):
                events = minute(at)
                for partition in range(2):
                    log.write(EVENTS, partition, *events[partition::2])
            await sidecar.until(partial(counted, sidecar, START + 17 * MINUTE + 59_000))
            rest["sink"].fail()
            rest["sink"].release()
            await lived(log, range(18, 45), sidecar)

        once_each(told(log))

    asyncio.run(flow())


def test_without_the_state_topic_the_owner_of_partition_0_speaks() -> None:
    async def flow() -> None:
        log = two_partitions()
        left = made(log, Part(log, (0,)), state=None)
        right = made(log, Part(log, (1,)), state=None)
        async with left as speaker, right as other:
            await lived(log, ALL, speaker, other)

        once_each(told(log))
        assert other.drift.snapshot().episodes == ()

    asyncio.run(flow())


def test_a_missing_signals_topic_holds_up_nothing_and_gets_all_when_it_comes() -> None:
    async def flow() -> None:
        log = written(MemoryLog(), 2, (DECISIONS, LETTERS, STATE))
        async with made(log) as sidecar:
            await lived(log, range(20), sidecar)
            await sidecar.until(lambda: sidecar.sample("sidecar_signal_failures_total") > 0)
            assert sidecar.health.troubles == {}
            log.create(SIGNALS, 1)
            await lived(log, range(20, 45), sidecar)
            await sidecar.until(
                lambda: sidecar.sample("sidecar_signals_total", kind="drift_ended") > 0
            )

        once_each(told(log))

    asyncio.run(flow())


def test_what_a_replay_finds_is_what_was_told() -> None:
    async def flow() -> None:
        log, again = two_partitions(), two_partitions()
        async with made(log) as sidecar:
            await lived(log, ALL, sidecar)
        for partition, records in enumerate(log.topics[EVENTS]):
            again.write(EVENTS, partition, *records)
        # All at once: in one batch of many panes.
        async with made(again, state=None) as sidecar:
            sidecar.sent = len(ALL) * 60
            await sidecar.drained()

        assert told(again) == told(log)

    asyncio.run(flow())


def test_windows_of_unknown_differences_are_learned_from_the_first_live_day() -> None:
    async def flow() -> None:
        log = two_partitions()
        day = {**MONITORS, "windows": ["5m", "60m"]}
        async with made(log, profile=reference(), monitors=day) as sidecar:
            await lived(log, (at + 100 for at in range(40)), sidecar)
            before = [w.calibration for w in sidecar.drift.snapshot().windows]
        async with made(log, profile=reference(), monitors=day, state="two") as sidecar:
            await lived(log, (at + 100 for at in range(40, 65)), sidecar)
            after = sidecar.drift.snapshot().windows

        assert before == ["none", "none"]
        assert [(w.calibration, w.calibration_windows) for w in after] == [
            ("learned", 12),
            ("learned", 10),
        ]
        assert told(log) == []

    asyncio.run(flow())


def test_a_rule_record_that_is_refused_is_counted_and_its_signals_are_told() -> None:
    async def flow() -> None:
        log = two_partitions()
        sink = MemorySink(
            log, TOPICS, refuses=lambda topic, key, _: topic == STATE and key == b"drift/rule"
        )
        async with made(log, sink=sink) as sidecar:
            await lived(log, range(20), sidecar)
            await sidecar.until(lambda: bool(told(log)))

        assert sidecar.sample("sidecar_state_records_refused_total") > 0
        assert b"drift/rule" not in {r.key for part in log.topics[STATE] for r in part}

    asyncio.run(flow())


def test_a_rule_record_that_is_damaged_is_said_and_begins_at_rest() -> None:
    async def flow() -> None:
        log = two_partitions()
        async with made(log) as sidecar:
            await lived(log, range(14), sidecar)
        log.write(STATE, 0, Stored(b"drift/rule", b"damaged"))
        async with made(log, state="two") as after:
            await after.until(
                lambda: after.sample("sidecar_state_resets_total", reason="damaged") == 1
            )
            await lived(log, range(14, 15), after)

    asyncio.run(flow())


async def away() -> None:
    raise SinkUnavailableError("away", "away")


@pytest.mark.parametrize("atomic", [False, True])
def test_what_a_rule_remembers_waits_while_the_sink_is_away(atomic: bool) -> None:
    async def flow() -> None:
        log = two_partitions()
        rest = transactions(log) if atomic else {}
        async with made(log, **rest) as sidecar:
            await lived(log, range(15), sidecar)
            before, start = sidecar.sample("sidecar_commit_failures_total"), sidecar.sink.start
            sidecar.sink.start = away
            sidecar.drift.alerts.watch_from(1)
            sidecar.sink.fail()
            await sidecar.until(lambda: "sink" in sidecar.health.troubles)
            await asyncio.sleep(1.0)
            failures = sidecar.sample("sidecar_commit_failures_total") - before
            sidecar.sink.start = start
            await lived(log, range(15, 17), sidecar)

        assert failures <= 1

    asyncio.run(flow())
