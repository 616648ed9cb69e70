"""Keeps the counts of monitors in the state topic, and shows those of the whole fleet.

Every process follows the whole topic. What others count goes into the same windows as what is
counted here, so each shows the sum over all partitions. A partition that comes is *restored*:
when reading has reached the end of the topic, what is known of it is what its last owner
stored, and from there on it is counted here.

What is stored carries the first input offset that it does not count, and is written before that
offset is committed. So whatever happens in between, each committed record is counted once.

What a monitor has to say about all partitions is said by one process: the one that owns input
partition 0. It stores what its rule remembers, and the others show that.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
import structlog

from sidecar.clock import Clock
from sidecar.errors import SourceUnavailableError
from sidecar.events import OutboundBatch, OutboundSlice, Refusal
from sidecar.monitors.alerts import SPEAKER, DriftAlerts, KnownState
from sidecar.monitors.stored import (
    StoredMark,
    StoredPartition,
    StoredRecord,
    StoredRule,
    decode_rule,
    encode_changes,
    encode_rule,
    parse_key,
    ruled_monitor,
)
from sidecar.monitors.windows import RollingWindows
from sidecar.ports import Observer, Place, StateLog, StateRecord
from sidecar.runtime.observers import Observers
from sidecar.telemetry.metrics import Metrics

_POLL_S = 1.0
_RESTORE_S = 60.0
_NOT_CONNECTED = SourceUnavailableError("not connected")


class StoredObserver(Observer, Protocol):
    """An observer whose counts are kept."""

    windows: RollingWindows
    fingerprint: str

    @property
    def alerts(self) -> DriftAlerts | None:
        """What it has to say about all partitions; None when nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Changes:
    """What is about to be stored, and how to note that it was not."""

    batch: OutboundBatch = field(default_factory=lambda: OutboundBatch(()))
    taken: Mapping[tuple[str, int], Collection[int]] = field(default_factory=dict)
    """Starts of the panes, by monitor and partition."""
    rules: Mapping[str, KnownState] = field(default_factory=dict)
    """What rules remember, by monitor."""


class _Taken(NamedTuple):
    """How a partition was taken over."""

    gap: int
    """Committed offsets that its counts do not hold."""
    why_anew: str | None
    """Why they begin anew; None when they go on."""


class StateKeeper:
    """Follows, restores and stores the counts of all monitors that have any."""

    def __init__(
        self,
        *,
        log: StateLog,
        topic: str,
        monitors: Sequence[StoredObserver],
        observers: Observers,
        metrics: Metrics,
        writer: str,
        clock: Clock,
        backoff: Callable[[], Iterator[float]],
    ) -> None:
        """Join the parts; nothing is read before `run`.

        Args:
            log: The state topic.
            topic: Its name.
            monitors: Whose counts are kept.
            observers: Guards them: one that raises is switched off and not stored.
            metrics: Count what is stored, restored and begun anew.
            writer: Name of this process, unlike that of any other, and after those of older
                ones in the order of the alphabet.
            clock: For durations.
            backoff: Gives the waits between tries to connect.
        """
        self._reader = log
        self._topic = topic
        self._monitors = {monitor.name: monitor for monitor in monitors}
        self._observers = observers
        self._metrics = metrics
        self._writer = writer
        self._clock = clock
        self._backoff = backoff
        self._stored: dict[tuple[str, int], StoredPartition] = {}
        self._owned: set[int] = set()
        self._disputed: set[int] = set()
        """Of the owned ones, those that somebody else stored: perhaps further than we count."""
        self._older_rival_s: float | None = None
        self._progress = asyncio.Condition()
        self._trouble: SourceUnavailableError | None = _NOT_CONNECTED
        self._log = structlog.get_logger()

    # --- following ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the topic until cancelled, through all troubles."""
        try:
            while True:
                for wait_s in self._backoff():
                    try:
                        await self._reader.start()
                        break
                    except SourceUnavailableError as error:
                        await self._failed(error)
                        await asyncio.sleep(wait_s)
                await self._follow()
        finally:
            await self._reader.close(1.0)

    async def _follow(self) -> None:
        self._trouble = None
        try:
            while True:
                records = await self._reader.poll(_POLL_S)
                self._apply(records)
                await self._notify()
        except SourceUnavailableError as error:
            await self._failed(error)

    async def _failed(self, error: SourceUnavailableError) -> None:
        if self._trouble in (None, _NOT_CONNECTED):
            self._log.warning("state_unavailable", error=str(error))
        self._trouble = error
        await self._notify()

    async def _notify(self) -> None:
        async with self._progress:
            self._progress.notify_all()

    def _apply(self, records: Sequence[StateRecord]) -> None:
        """Take records; panes are counted when the mark behind them has come."""
        marked: set[tuple[str, int]] = set()
        for record in records:
            name = ruled_monitor(record.key)
            if name in self._monitors and record.value is not None:
                self._guarded(name, partial(self._apply_rule, name, record.value))
            key = parse_key(record.key)
            if key is None or key.monitor not in self._monitors:
                continue
            stored = self._partition(key.monitor, key.partition)
            mark = stored.put(key.start_ms, record.value)
            if mark is not None:
                self._mind_strangers(key.monitor, key.partition, mark)
                if mark is stored.mark:
                    marked.add(key[:2])
            if stored.outdated and key.partition in self._owned:
                self._store_again(key.monitor, key.partition)
        # The newest event of all partitions moves on by small steps, as far as it can be known.
        for name, partition in sorted(marked, key=self._newest_ms):
            if partition in self._owned:
                self._partition(name, partition).take()  # it is known here already
            else:
                self._guarded(name, partial(self._follow_partition, name, partition))

    def _newest_ms(self, which: tuple[str, int]) -> int:
        mark = self._partition(*which).mark
        return -1 if mark is None or mark.newest_ms is None else mark.newest_ms

    def _apply_rule(self, name: str, value: bytes) -> None:
        """Show what the speaker's rule remembers; if we speak, see that ours is what stands."""
        monitor = self._monitors[name]
        if monitor.alerts is None:
            return
        try:
            stored = decode_rule(value)
        except msgspec.DecodeError as error:
            self._metrics.state_reset("damaged")
            self._log.warning("rule_unreadable", monitor=name, error=str(error))
            return
        if self.speaks:
            if stored.writer != self._writer:
                monitor.alerts.overwritten()
        elif stored.fingerprint == monitor.fingerprint:
            monitor.alerts.follow(stored.state)
        else:
            monitor.alerts.forget()  # as the counts, it begins anew with another config

    def _guarded(self, name: str, call: Callable[[], None]) -> None:
        """Touch a monitor's counts; one that raises is switched off, and the flow goes on."""
        self._observers.read(self._monitors[name], call)

    def _partition(self, name: str, partition: int) -> StoredPartition:
        known = self._stored.get((name, partition))
        if known is None:
            monitor = self._monitors[name]
            known = StoredPartition(monitor.fingerprint, monitor.windows.size)
            self._stored[name, partition] = known
        return known

    def _mind_strangers(self, name: str, partition: int, mark: StoredMark) -> None:
        """Note that somebody else has stored what is ours.

        It is a process that was frozen, lost the partition and does not know it yet; or we are.
        """
        if partition in self._owned and mark.writer != self._writer:
            if mark.writer < self._writer:
                self._older_rival_s = self._clock.monotonic()
            if partition not in self._disputed:
                self._log.warning("state_overwritten", monitor=name, partition=partition)
            self._disputed.add(partition)
            self._store_again(name, partition)

    def _store_again(self, name: str, partition: int) -> None:
        """Let the next store hold all panes: the last ones written are not the best known."""
        self._partition(name, partition).outdated = False
        self._monitors[name].windows.note_changed(partition)

    def has_older_rival(self, within_s: float) -> bool:
        """Tell whether an older process has lately stored what is ours to store."""
        seen_s = self._older_rival_s
        return seen_s is not None and self._clock.monotonic() - seen_s < within_s

    def _follow_partition(self, name: str, partition: int) -> None:
        stored = self._partition(name, partition)
        mark, windows = stored.mark, self._monitors[name].windows
        if mark is None or not stored.fits:
            windows.revoke([partition])
            return
        panes = stored.take()
        windows.follow(partition, mark.newest_ms, mark.next, panes)

    # --- restoring ---------------------------------------------------------------------------

    async def restore(self, ask: Callable[[], Awaitable[Mapping[int, Place]]]) -> None:
        """Make partitions ours: read to the end of the topic, and count on from there.

        Args:
            ask: Gives the partitions, and where each stands.

        Raises:
            SourceUnavailableError: The state topic cannot be read at the moment.
        """
        await self._catch_up()
        # A former owner that does not know it yet may go on storing while the answer is on
        # its way, and then further than that says.
        before = {at: each.mark.next for at, each in self._stored.items() if each.mark}
        places = await ask()
        for partition, place in places.items():
            self._restore(partition, place, before)
        self._owned |= places.keys()

    def _restore(
        self, partition: int, place: Place, before: Mapping[tuple[str, int], int]
    ) -> None:
        """Take a partition over for each monitor; what happens to several counts once.

        Args:
            partition: The input partition.
            place: Where it stands.
            before: The first offset that was not counted when that was asked, by monitor and
                partition. Beyond its end, the topic was made anew.
        """
        found = []
        for name, monitor in self._monitors.items():
            anew = before.get((name, partition), 0) > place.end
            take_over = partial(self._take_over, name, partition, place, anew)
            found.append(self._observers.read(monitor, take_over))
        gap = max((taken.gap for taken in found if taken is not None), default=0)
        self._metrics.state_gap(gap)
        if gap:
            self._log.warning("state_gap", partition=partition, records=gap)
        for why in {taken.why_anew for taken in found if taken is not None} - {None}:
            self._metrics.state_reset(str(why))
        self._metrics.state_restored()

    async def _catch_up(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_RESTORE_S), self._progress:
                while True:
                    if self._trouble is not None:
                        raise self._trouble
                    if not await self._reader.remaining():
                        return
                    await self._progress.wait()
        raise SourceUnavailableError(f"state was not read within {_RESTORE_S:g} s")

    def _take_over(self, name: str, partition: int, place: Place, anew: bool) -> _Taken:
        """Count on from what is stored, or begin anew where it cannot be used."""
        stored = self._partition(name, partition)
        windows = self._monitors[name].windows
        why_not = self._unusable(stored, anew)
        if why_not is None and stored.mark is not None:
            windows.follow(partition, stored.mark.newest_ms, stored.mark.next, stored.take())
            windows.park(partition, stored.take_ahead())
            why_not = "damaged" if stored.broken else None
        gap = 0
        if why_not is not None:
            self._begin_anew(name, partition, why_not)
        elif stored.mark is not None and place.committed is not None:
            gap = max(0, place.committed - stored.mark.next)
        # What cannot be used is written over or removed with the next store.
        windows.note_changed(partition, stored.others)
        if stored.outdated:
            self._store_again(name, partition)
        stored.others.clear()
        return _Taken(gap, why_not)

    @staticmethod
    def _unusable(stored: StoredPartition, anew: bool) -> str | None:
        if stored.broken:
            return "damaged"
        if stored.mark is None:
            return "missing" if stored.waiting else None
        if not stored.fits:
            return "config"
        return "topic" if anew else None

    def _begin_anew(self, name: str, partition: int, why: str) -> None:
        alerts = self._monitors[name].alerts
        if alerts is not None and partition == SPEAKER and why == "topic":
            alerts.begin_anew()  # event time may have gone back
        stored, windows = self._partition(name, partition), self._monitors[name].windows
        stored.others |= stored.newest.keys()
        windows.revoke([partition])
        fresh = StoredPartition(stored.fingerprint, stored.size, others=stored.others)
        self._stored[name, partition] = fresh
        self._log.warning("state_reset", monitor=name, partition=partition, reason=why)

    def release(self, partitions: Collection[int]) -> None:
        """Give partitions up; what their next owner stores is followed."""
        gone = self._owned & set(partitions)
        self._owned -= gone
        unsure = gone & self._disputed
        unsure |= {
            partition
            for partition in gone
            for monitor in self._monitors.values()
            if (state := monitor.windows.partitions.get(partition)) and state.changed
        }
        if SPEAKER in gone and self._rules_changed():
            unsure.add(SPEAKER)
        if unsure:
            self._reread(unsure)

    def forget(self, partitions: Collection[int]) -> None:
        """Drop what was counted and is not stored for certain; `restore` reads it again."""
        self._owned -= set(partitions)
        self._reread(partitions)

    def _reread(self, partitions: Collection[int]) -> None:
        self._disputed.difference_update(partitions)
        for name, monitor in self._monitors.items():
            monitor.windows.revoke(partitions)
            if SPEAKER in partitions and monitor.alerts is not None:
                monitor.alerts.forget()
            for partition in partitions:
                self._stored.pop((name, partition), None)
        self._reader.reread()

    # --- storing -----------------------------------------------------------------------------

    def changes(self, offsets: Mapping[int, int]) -> Changes:
        """Give what has changed, as records for the sink.

        Args:
            offsets: The next offset to commit, by partition: all before it is counted.
        """
        taken: dict[tuple[str, int], Collection[int]] = {}
        rules, records_of = self._changed_rules()
        for partition, offset in offsets.items():
            if partition not in self._owned:
                continue
            # A rule before the mark: cut short between, it would judge twice what is marked.
            records = records_of.setdefault(partition, [])
            for name, monitor in self._monitors.items():
                changed = self._observers.read(
                    monitor, partial(self._changes, monitor, partition, offset)
                )
                if changed is not None:
                    records += changed[0]
                    taken[name, partition] = changed[1]
        slices = [self._slice(p, records) for p, records in records_of.items() if records]
        return Changes(OutboundBatch(tuple(slices)), taken, rules)

    def _changed_rules(self) -> tuple[dict[str, KnownState], dict[int, list[StoredRecord]]]:
        """Give what rules remember and is not stored, and the records of it by partition."""
        rules: dict[str, KnownState] = {}
        records: list[StoredRecord] = []
        for name, monitor in self._monitors.items():
            alerts = monitor.alerts
            if self.speaks and alerts is not None and alerts.changed:
                rules[name] = alerts.state
                rule = StoredRule(monitor.fingerprint, self._writer, alerts.state)
                records.append(encode_rule(name, rule))
        return rules, {SPEAKER: records} if records else {}

    def _rules_changed(self) -> bool:
        alerts = (monitor.alerts for monitor in self._monitors.values())
        return any(each.changed for each in alerts if each is not None)

    @property
    def speaks(self) -> bool:
        """Whether this process speaks for all partitions."""
        return SPEAKER in self._owned

    @property
    def has_news(self) -> bool:
        """Whether there is something to store although no offset has moved."""
        return self.speaks and self._rules_changed()

    def _changes(
        self, monitor: StoredObserver, partition: int, offset: int
    ) -> tuple[list[StoredRecord], set[int]]:
        state = monitor.windows.partitions.get(partition)
        next_offset = offset if state is None else max(offset, state.next)
        newest_ms = None if state is None else state.newest_ms
        mark = StoredMark(monitor.fingerprint, next_offset, newest_ms, self._writer)
        panes, gone = monitor.windows.take_changes(partition)
        records = encode_changes(monitor.name, partition, mark, panes, gone)
        return records, panes.keys() | gone

    def _slice(self, partition: int, records: Sequence[StoredRecord]) -> OutboundSlice:
        return OutboundSlice(
            topic=self._topic,
            partition=partition,
            keys=[key for key, _ in records],
            values=[value for _, value in records],
            headers=None,
            rows=range(len(records)),
        )

    def stored(self, changes: Changes, refusals: Sequence[Refusal]) -> None:
        """Note that changes are written, but for the records that the broker refused."""
        self._metrics.state_stored(len(changes.batch) - len(refusals))
        for name, state in changes.rules.items():
            alerts = self._monitors[name].alerts
            if alerts is not None:
                alerts.stored(state)
        if refusals:
            self._metrics.state_refused(len(refusals))
            self._log.error("state_refused", records=len(refusals), error=refusals[0].message)

    def not_stored(self, changes: Changes) -> None:
        """Note that changes may not have been written; the next ones hold them again."""
        for (name, partition), starts in changes.taken.items():
            if partition in self._owned:
                self._monitors[name].windows.note_changed(partition, starts)

    # --- reading -----------------------------------------------------------------------------

    def partitions(self) -> Iterator[tuple[int, bool]]:
        """Give each partition that is in the windows, and whether it is counted here."""
        known = {
            partition
            for monitor in self._monitors.values()
            for partition in monitor.windows.partitions
        }
        return ((partition, partition in self._owned) for partition in sorted(known))
