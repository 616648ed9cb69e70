"""The cells that a record counts in for its quality and its answer, and what counts say.

A decided record counts once by source and reason, once by age, and once each as a duplicate,
by its rule and by agreement where it has these. A refused one counts once by code, and once
by feature and code where a feature is at fault.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sidecar.config.values import Duration
from sidecar.events import (
    REASON_NAMES,
    SOURCE_NAMES,
    BoolColumn,
    DecisionBatch,
    RejectCode,
    Rejection,
    Source,
)
from sidecar.monitors.quality_snapshot import Agreement, DecisionShare, Freshness, RuleShare
from sidecar.stats.ages import AgeCells
from sidecar.stats.cells import Counts

CODES = tuple(RejectCode)
FAULT_CODES = (
    RejectCode.WRONG_TYPE,
    RejectCode.MISSING_FEATURE,
    RejectCode.OUT_OF_LIMITS,
    RejectCode.NUMBER_OUT_OF_RANGE,
)
"""What a record is refused as because of one feature."""
_FALLBACKS = (Source.RULE, Source.CACHE, Source.DEFAULT)
_CODE_AT = {code: at for at, code in enumerate(CODES)}
_FAULT_AT = {code: at for at, code in enumerate(FAULT_CODES)}
_AGREED = 2
"""Cells by label: what the model says otherwise, what it says too."""

Rows = NDArray[np.uint32]
"""One row per record, the cells that it counts in; those that count nothing are `nothing`."""


class QualityCells:
    """The layout of the cells."""

    def __init__(
        self,
        features: Sequence[str],
        rules: Sequence[str],
        labels: Sequence[str],
        freshness: Duration,
    ) -> None:
        """Lay the cells behind one another.

        Args:
            features: Names of the features to watch.
            rules: Names of the fallback rules, in the order of `DecisionBatch.rules`.
            labels: The model's labels, the first ones of `DecisionBatch.vocabulary`; none
                where it is not compared with upstream.
            freshness: Age of an event beyond which it is stale.
        """
        self.features, self.rules, self.labels = tuple(features), tuple(rules), tuple(labels)
        self._freshness_ms = freshness.ms
        self._ages = AgeCells([freshness.ms])
        sizes = (
            len(SOURCE_NAMES) * len(REASON_NAMES),
            len(CODES),
            len(self.features) * len(FAULT_CODES),
            self._ages.size,
            1,
            len(self.rules),
            (len(self.labels) + 1) * _AGREED,
        )
        stops = np.cumsum(sizes).tolist()
        places = (slice(stop - size, stop) for size, stop in zip(sizes, stops, strict=True))
        (
            self._decided,
            self._refused,
            self._faults,
            self._age,
            self._duplicate,
            self._rule,
            self._agreement,
        ) = places
        self.nothing: int = stops[-1]
        """The cell that takes what does not count."""
        self.size = self.nothing + 1
        self.tally = slice(0, self._refused.stop)
        """The cells that add up to the number of records."""
        self._feature_at = {name: at for at, name in enumerate(self.features)}

    # --- counting ----------------------------------------------------------------------------

    def decided(self, decisions: DecisionBatch, duplicate: BoolColumn) -> Rows:
        """Give the cells of decisions.

        Args:
            decisions: A batch of them.
            duplicate: Whose event id was seen lately.
        """
        events = decisions.events
        ages_ms = events.records.timestamps_ms[events.rows] - events.event_time_ms
        rows = np.full((len(decisions), 5), self.nothing, np.uint32)
        rows[:, 0] = decisions.source.astype(np.uint32) * len(REASON_NAMES) + decisions.reason
        rows[:, 1] = self._age.start + self._ages.cells(ages_ms)
        rows[duplicate, 2] = self._duplicate.start
        fired = decisions.rule >= 0
        rows[fired, 3] = self._rule.start + decisions.rule[fired]
        if decisions.shadow is not None and self.labels:
            both = (decisions.shadow >= 0) & (decisions.answer >= 0)
            # A label that the model does not have is one that it never agrees on.
            said = np.minimum(decisions.answer[both], len(self.labels))
            agreed = decisions.shadow[both] == said
            rows[both, 4] = self._agreement.start + said * _AGREED + agreed
        return rows

    def refused(self, rejections: Sequence[Rejection]) -> Rows:
        """Give the cells of refused records; the name of a feature is believed when known."""
        rows = np.full((len(rejections), 5), self.nothing, np.uint32)
        for row, rejection in enumerate(rejections):  # they come as objects
            rows[row, 0] = self._refused.start + _CODE_AT[rejection.code]
            feature = self._feature_at.get(rejection.path.partition(".features.")[2])
            fault = _FAULT_AT.get(rejection.code)
            if feature is not None and fault is not None:
                rows[row, 1] = self._faults.start + feature * len(FAULT_CODES) + fault
        return rows

    # --- reading -----------------------------------------------------------------------------

    def events(self, counts: Counts) -> int:
        """Give the decided events."""
        return int(counts[self._decided].sum())

    def rejections(self, counts: Counts) -> dict[str, int]:
        """Give the refused records by code, without those that are 0."""
        refused = counts[self._refused].tolist()
        return {code.value: n for code, n in zip(CODES, refused, strict=True) if n}

    def faults(self, counts: Counts) -> dict[str, dict[str, int]]:
        """Give the refused records by feature and code, without those that are 0."""
        by_feature = counts[self._faults].reshape(len(self.features), len(FAULT_CODES))
        return {
            name: {code.value: n for code, n in zip(FAULT_CODES, row, strict=True) if n}
            for name, row in zip(self.features, by_feature.tolist(), strict=True)
            if any(row)
        }

    def stale(self, counts: Counts) -> int:
        """Give the events older than the limit."""
        return self._ages.beyond(counts[self._age], self._freshness_ms)

    def freshness(self, counts: Counts) -> Freshness | None:
        """Give quantiles of the age of events; None without any."""
        ages = counts[self._age]
        if not ages.any():
            return None
        median_ms, p99_ms = (self._ages.quantile(ages, share) for share in (0.5, 0.99))
        return Freshness(median_seconds=median_ms / 1000, p99_seconds=p99_ms / 1000)

    def duplicates(self, counts: Counts) -> int:
        """Give the events whose id was seen lately."""
        return int(counts[self._duplicate].sum())

    def fallbacks(self, counts: Counts) -> tuple[int, int]:
        """Give the events decided by the fallback chain, and those that were the model's."""
        by_source = counts[self._decided].reshape(len(SOURCE_NAMES), -1).sum(axis=1)
        fallbacks = int(by_source[list(_FALLBACKS)].sum())
        return fallbacks, fallbacks + int(by_source[Source.MODEL])

    def decisions(self, counts: Counts) -> tuple[DecisionShare, ...]:
        """Give the decisions by source and reason, without those that are 0."""
        found, events = counts[self._decided], self.events(counts)
        return tuple(
            DecisionShare(
                source=SOURCE_NAMES[cell // len(REASON_NAMES)],
                reason=REASON_NAMES[cell % len(REASON_NAMES)],
                records=int(found[cell]),
                ratio=int(found[cell]) / events,
            )
            for cell in np.flatnonzero(found).tolist()
        )

    def rule_shares(self, counts: Counts) -> tuple[RuleShare, ...]:
        """Give the decisions by rule, 0 too."""
        events = self.events(counts)
        fired = counts[self._rule].tolist()
        return tuple(
            RuleShare(rule=name, records=records, ratio=records / events if events else 0.0)
            for name, records in zip(self.rules, fired, strict=True)
        )

    def agreement(self, counts: Counts) -> tuple[Agreement, ...]:
        """Give how often the model agreed with upstream: over all, and by label, 0 too."""
        if not self.labels:
            return ()
        by_label = counts[self._agreement].reshape(-1, _AGREED)
        rows = [("", by_label.sum(axis=0)), *zip(self.labels, by_label[:-1], strict=True)]
        return tuple(
            Agreement(label=label, compared=int(cells.sum()), agreed=int(cells[1]))
            for label, cells in rows
        )
