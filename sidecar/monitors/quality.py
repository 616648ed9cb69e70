"""The quality monitor: what is wrong with records, and who answers, over rolling windows.

It counts what the drift monitor does not: refused records, the features at fault, the age of
events, duplicates, decisions by reason and rule, agreement with upstream. Shares of missing,
unseen and out-of-range values are the drift monitor's counts; here they get their bands.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

import msgspec
import numpy as np

from sidecar.bundle.manifest import (
    Calibration,
    CategoryProfile,
    Manifest,
    Profile,
    ReferenceProfile,
)
from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    BoolColumn,
    DecisionBatch,
    EventBatch,
    Int64Column,
    Rejection,
)
from sidecar.monitors.quality_cells import CODES, QualityCells, Rows
from sidecar.monitors.quality_snapshot import (
    Check,
    QualityRatio,
    QualitySnapshot,
    QualityWindow,
)
from sidecar.monitors.sketches import UnseenSketches
from sidecar.monitors.snapshot import MonitorSnapshot, SubjectDrift
from sidecar.monitors.windows import RollingWindows, Window
from sidecar.stats.bands import proportion_bands
from sidecar.stats.recent import RecentHashes

# Counts up with each change of what a cell means under the same settings.
_LAYOUT = 1
_NEVER_MS = -(2**62)
"""Before all event times: where nothing has a time yet."""


class Expected(NamedTuple):
    """A share that is usual, and how well it is known."""

    ratio: float
    records: float = math.inf
    """Reference rows that it is a share of; infinite where it is stated."""


class _Found(NamedTuple):
    """A share of a window, before it has its band."""

    check: Check
    feature: str
    ratio: float
    records: int
    expected: Expected | None
    overdispersion: float = 1.0


@dataclass(slots=True)
class _Memory:
    """Ids of one partition."""

    recent: RecentHashes
    next: int = 0
    """The first offset whose id is not in it."""


class QualityMonitor:
    """Counts refused records and what surrounds decisions. Nothing here reads a clock."""

    name = "quality"
    alerts: None = None
    """It has nothing to say that is not a function of its windows."""

    def __init__(
        self,
        manifest: Manifest,
        reference: ReferenceProfile,
        settings: MonitorSettings,
        rules: Sequence[str] = (),
        usual_fallback: Expected | None = None,
        *,
        compares: bool = False,
    ) -> None:
        """Lay out the counts.

        Args:
            manifest: The signature and the labels of the model.
            reference: Gives the usual shares of its features.
            settings: Panes, windows, and the limits of quality.
            rules: Names of the fallback rules.
            usual_fallback: Share of the model's events that the fallback chain decides.
            compares: Whether the model is asked about events that bring a prediction, too.
        """
        quality = settings.quality
        watched = [
            feature.name
            for feature in manifest.features
            if settings.features == "all" or feature.name in settings.features
        ]
        labels = manifest.model.labels if compares else ()
        self._cells = QualityCells(watched, rules, labels, quality.freshness)
        longest_ms = max(length.ms for length in settings.windows)
        self.windows = RollingWindows(
            settings.pane.ms,
            [length.ms for length in settings.windows],
            settings.lateness.ms,
            self._cells.size,
            tally=self._cells.tally,
            min_records=settings.min_records,
        )
        self.fingerprint = _fingerprint(self._cells, settings)
        """Of what the counts mean. Counts with another one do not add up with these."""
        self._settings = settings
        self._usual = {name: _usual(reference.features[name]) for name in watched}
        self._usual_fallback = usual_fallback
        self._unseen = UnseenSketches(manifest.features, watched, longest_ms)
        self._ids: dict[int, _Memory] = {}

    # --- counting ----------------------------------------------------------------------------

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        """Count a settled batch.

        A refused record has no event time: it counts at the newest one before it in its
        partition, so a broken one cannot move the windows. Before the first event of its
        partition there is none, and it counts nowhere.

        Args:
            decisions: Rows of several partitions, in the order of their records.
            rejections: The refused records of the same batch, in any order.
        """
        events = decisions.events
        self._unseen.observe(events.features, events.event_time_ms, self._uncounted(events))
        cells = self._cells.decided(decisions, self._duplicates(events))
        rows, times_ms, spans = events.rows, events.event_time_ms, events.spans()
        if rejections:
            refused = np.array([rejection.row for rejection in rejections], np.int64)
            rows = np.concatenate((rows, refused))
            times_ms = np.concatenate((times_ms, np.full(len(refused), _NEVER_MS)))
            cells = np.concatenate((cells, self._cells.refused(rejections)))
            order = np.argsort(rows)
            rows, times_ms, cells = rows[order], times_ms[order], cells[order]
            spans = events.records.spans_of(rows)
        offsets = events.records.offsets[rows]
        for span in spans:
            own = slice(span.start, span.stop)
            self._count(span.partition, offsets[own], times_ms[own], cells[own])

    def revoked(self, partitions: Collection[int]) -> None:
        """Take the records of these partitions out of the windows, and forget their ids.

        Args:
            partitions: Input partitions that belong to somebody else.
        """
        self.windows.revoke(partitions)
        self.released(partitions)

    def released(self, partitions: Collection[int]) -> None:
        """Forget the ids of these partitions; their counts stay in the windows.

        Args:
            partitions: Input partitions that belong to somebody else.
        """
        for partition in partitions:
            self._ids.pop(partition, None)

    def _count(
        self, partition: int, offsets: Int64Column, times_ms: Int64Column, cells: Rows
    ) -> None:
        timeless = times_ms == _NEVER_MS
        if timeless.any():
            state = self.windows.partitions.get(partition)
            known_ms = None if state is None else state.newest_ms
            newest_ms = np.maximum.accumulate(times_ms)
            if known_ms is not None:
                newest_ms = np.maximum(newest_ms, known_ms)
            times_ms = np.where(timeless, newest_ms, times_ms)
            placed = times_ms != _NEVER_MS
            offsets, times_ms, cells = offsets[placed], times_ms[placed], cells[placed]
        self.windows.observe(partition, offsets, times_ms, cells)

    def _uncounted(self, events: EventBatch) -> BoolColumn:
        """Mark events that the windows do not hold yet; others are read again."""
        offsets = events.records.offsets[events.rows]
        uncounted = np.ones(len(events), np.bool_)
        for span in events.spans():
            own = slice(span.start, span.stop)
            state = self.windows.partitions.get(span.partition)
            if state is not None and offsets[span.start] < state.next:
                uncounted[own] = offsets[own] >= state.next
        return uncounted

    def _duplicates(self, events: EventBatch) -> BoolColumn:
        """Mark events whose id was seen lately in their partition, by the order of records."""
        duplicate = np.zeros(len(events), np.bool_)
        remember = self._settings.quality.duplicates.remember
        if not remember:
            return duplicate
        offsets = events.records.offsets[events.rows]
        hashes = np.fromiter(map(hash, events.ids), np.int64, len(events))
        for span in events.spans():
            own = slice(span.start, span.stop)
            memory = self._ids.get(span.partition)
            # What is read again after a failure is not there twice: its ids are forgotten.
            if memory is None or offsets[span.start] < memory.next:
                memory = self._ids[span.partition] = _Memory(RecentHashes(remember))
            duplicate[own] = memory.recent.seen(hashes[own])
            memory.next = int(offsets[span.stop - 1]) + 1
        return duplicate

    # --- reading -----------------------------------------------------------------------------

    def snapshot(self, drift: MonitorSnapshot | None) -> QualitySnapshot:
        """Say how all windows are.

        Args:
            drift: What the drift monitor says, whose shares of missing, unseen and
                out-of-range values are judged here; None when it is off, and they are not.
                It also gives the overdispersion of each feature, and that of the confidence
                for the share of the fallback chain.
        """
        subjects = {w.length_ms: w.subjects for w in drift.windows} if drift else {}
        return QualitySnapshot(
            windows=tuple(
                self._window(window, subjects.get(window.length_ms, ()))
                for window in self.windows.windows()
            ),
            unseen=self._unseen.snapshot(),
        )

    def _window(self, window: Window, subjects: Sequence[SubjectDrift]) -> QualityWindow:
        cells, counts = self._cells, window.counts
        rejections = cells.rejections(counts)
        found = [
            *self._of_records(window, sum(rejections.values()), subjects),
            *self._of_features(window, subjects),
        ]
        return QualityWindow(
            window=str(Duration(window.length_ms)),
            length_ms=window.length_ms,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            records=window.records,
            ready=window.records >= self._settings.min_records,
            ratios=self._judged(found),
            rejections=rejections,
            faults=cells.faults(counts),
            freshness=cells.freshness(counts),
            decisions=cells.decisions(counts),
            rules=cells.rule_shares(counts),
            agreement=cells.agreement(counts),
        )

    def _of_records(
        self, window: Window, rejected: int, subjects: Sequence[SubjectDrift]
    ) -> Iterator[_Found]:
        cells, counts = self._cells, window.counts
        usual, events = self._settings.quality.usual, cells.events(counts)
        yield _found("rejected", rejected, window.records, Expected(usual.rejected))
        yield _found("stale", cells.stale(counts), events, Expected(usual.stale))
        if self._settings.quality.duplicates.remember:
            yield _found(
                "duplicate", cells.duplicates(counts), events, Expected(usual.duplicate)
            )
        fallback = self._usual_fallback if usual.fallback is None else Expected(usual.fallback)
        unsure = (one.overdispersion for one in subjects if one.subject == "confidence")
        fallen = _found("fallback", *cells.fallbacks(counts), fallback)
        yield fallen._replace(overdispersion=next(unsure, 1.0))

    def _of_features(
        self, window: Window, subjects: Sequence[SubjectDrift]
    ) -> Iterator[_Found]:
        faults = self._cells.faults(window.counts)
        for name in self._cells.features:
            at_fault = sum(faults.get(name, {}).values())
            yield _found("fault", at_fault, window.records, Expected(0.0), name)
        for subject in subjects:
            if subject.subject == "feature":
                ratios = {
                    "missing": subject.missing_ratio,
                    "unseen": subject.unseen_ratio,
                    "out_of_range": subject.out_of_range_ratio,
                }
                for check, expected in self._usual[subject.name].items():
                    yield _Found(
                        check,
                        subject.name,
                        ratios[check],
                        subject.records,
                        expected,
                        subject.overdispersion,
                    )

    def _judged(self, found: Sequence[_Found]) -> tuple[QualityRatio, ...]:
        """Give each share its band, where it has records enough and something is expected."""
        least = max(1, self._settings.min_records)
        judged = [one for one in found if one.expected is not None and one.records >= least]
        bands = proportion_bands(
            np.array([one.expected.ratio for one in judged if one.expected]),
            np.array([one.records for one in judged], np.float64),
            np.array([one.expected.records for one in judged if one.expected]),
            tolerance=self._settings.quality.floor,
            # Any of them may leave its band by chance, so each gets a part of the rate.
            rate=self._settings.drift.false_discovery_rate / max(1, len(found)),
            overdispersion=np.array([one.overdispersion for one in judged]),
        )
        ends = zip(bands.lower.tolist(), bands.upper.tolist(), strict=True)
        by_share = {
            (one.check, one.feature): end for one, end in zip(judged, ends, strict=True)
        }
        none: tuple[None, None] = (None, None)
        return tuple(
            _ratio(one, *by_share.get((one.check, one.feature), none)) for one in found
        )


def usual_fallback(
    calibration: Calibration | None, measure: str, threshold: float
) -> Expected | None:
    """Give the share of events that the model is not sure enough about, on the reference.

    Args:
        calibration: Of the bundle; None when its reference rows had no labels.
        measure: The confidence measure.
        threshold: Confidence below which the fallback chain answers.

    Returns:
        The share; None where the bundle does not say.
    """
    if threshold <= 0:
        return Expected(0.0)
    curve = calibration.curves.get(measure) if calibration else None
    if calibration is None or curve is None:
        return None
    covered = float(np.interp(threshold, curve.threshold, curve.coverage))
    return Expected(1 - covered, calibration.records)


def _usual(profile: Profile) -> dict[Check, Expected]:
    """Give the usual shares of a feature's values that are missing and outside."""
    counts, records = profile.counts, sum(profile.counts)
    category = isinstance(profile, CategoryProfile)
    outside = counts[-2] if category else counts[0] + counts[-2]
    return {
        "missing": Expected(counts[-1] / max(1, records), records or math.inf),
        "unseen" if category else "out_of_range": Expected(
            outside / max(1, records), records or math.inf
        ),
    }


def _found(
    check: Check, count: int, records: int, expected: Expected | None, feature: str = ""
) -> _Found:
    return _Found(check, feature, count / records if records else 0.0, records, expected)


def _ratio(found: _Found, lower: float | None, upper: float | None) -> QualityRatio:
    return QualityRatio(
        check=found.check,
        feature=found.feature,
        ratio=found.ratio,
        records=found.records,
        expected=found.expected.ratio if found.expected else None,
        lower=lower,
        upper=upper,
    )


def _fingerprint(cells: QualityCells, settings: MonitorSettings) -> str:
    panes = (settings.pane.ms, settings.lateness.ms, max(w.ms for w in settings.windows))
    lists = (cells.features, cells.rules, cells.labels, SOURCE_NAMES, REASON_NAMES, CODES)
    meaning = (_LAYOUT, lists, settings.quality.freshness.ms, panes)
    return sha256(msgspec.json.encode(meaning)).hexdigest()[:16]
