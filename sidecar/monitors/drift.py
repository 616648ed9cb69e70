"""The drift monitor: counts decided events, compares rolling windows with the reference."""

from collections.abc import Collection, Sequence

import numpy as np

from sidecar.bundle.manifest import Manifest, ReferenceProfile
from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.errors import ConfigError, Finding
from sidecar.events import SOURCE_NAMES, DecisionBatch, EventBatch, Rejection
from sidecar.monitors.answers import AnswerColumns
from sidecar.monitors.compare import compare
from sidecar.monitors.reference import Reference, watched_subjects
from sidecar.monitors.snapshot import MonitorSnapshot, WindowSnapshot
from sidecar.monitors.windows import RollingWindows, Window
from sidecar.stats.cells import CategoryCells, CellMatrix, CountingTable


class DriftMonitor:
    """Counts features, scores, confidences, labels and sources of decided events.

    Nothing here reads a clock: the same records give the same numbers, in a replay too, and a
    topic without events keeps its last windows.
    """

    name = "drift"

    def __init__(
        self,
        manifest: Manifest,
        reference: ReferenceProfile,
        settings: MonitorSettings,
        measure: str = "max_probability",
    ) -> None:
        """Lay out the counts.

        Args:
            manifest: The signature of the model.
            reference: What windows are compared with.
            settings: Panes, windows, and which features are watched.
            measure: The confidence measure that events are decided by.

        Raises:
            ConfigError: `monitors.features` names a feature that the model does not have.
        """
        features = [feature.name for feature in manifest.features]
        watched = _selected(features, settings)
        self._all_features = watched == features
        self._columns = np.array([features.index(name) for name in watched], np.int64)
        self._answers = AnswerColumns(reference)
        self._reference = Reference(watched_subjects(reference, watched, measure))
        self._table = CountingTable(
            [
                *(subject.layout for subject in self._reference.subjects),
                CategoryCells(len(SOURCE_NAMES)),
            ]
        )
        self._settings = settings
        # The last cell takes what does not count: answers of rows that have none.
        self.windows = RollingWindows(
            settings.pane.ms,
            [length.ms for length in settings.windows],
            settings.lateness.ms,
            self._table.size + 1,
        )
        self._late = 0
        self._future = 0

    def observe(self, decisions: DecisionBatch) -> None:
        """Count a decided batch.

        Args:
            decisions: Rows of several partitions, in the order of their records.
        """
        events = decisions.events
        cells = self._cells(decisions)
        for span in events.spans():
            rows = slice(span.start, span.stop)
            self._late += self.windows.observe(
                span.partition, events.event_time_ms[rows], cells[rows]
            )
        self._future += int(np.count_nonzero(events.future))

    def rejected(self, events: EventBatch, rejections: Sequence[Rejection]) -> None:
        """Leave refused records out: they have no decision.

        Args:
            events: The events of the same batch.
            rejections: The refused records.
        """

    def revoked(self, partitions: Collection[int]) -> None:
        """Take the events of these partitions out of the windows.

        Args:
            partitions: Input partitions that belong to somebody else.
        """
        self.windows.revoke(partitions)

    def snapshot(self) -> MonitorSnapshot:
        """Compare all windows with the reference."""
        return MonitorSnapshot(
            windows=tuple(self._window(window) for window in self.windows.windows()),
            newest_event_time_ms=self.windows.newest_ms,
            late=self._late,
            future=self._future,
        )

    def _cells(self, decisions: DecisionBatch) -> CellMatrix:
        matrix = decisions.events.features.matrix
        features = matrix if self._all_features else matrix[:, self._columns]
        answers = self._answers.matrix(decisions)
        answer_cells = self._table.cells(answers, first=len(self._columns))
        answer_cells[self._answers.excluded(decisions, answers)] = self._table.size
        return np.concatenate((self._table.cells(features), answer_cells), axis=1)

    def _window(self, window: Window) -> WindowSnapshot:
        sources = window.counts[self._table.slices[-1]][: len(SOURCE_NAMES)].tolist()
        records = sum(sources)
        return WindowSnapshot(
            window=str(Duration(window.length_ms)),
            length_ms=window.length_ms,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            records=records,
            ready=records >= self._settings.min_records,
            decisions=dict(zip(SOURCE_NAMES, sources, strict=True)),
            subjects=compare(
                self._reference,
                window.counts[: self._reference.cells.size],
                rate=self._settings.drift.false_discovery_rate,
                min_records=self._settings.min_records,
            ),
        )


def _selected(features: list[str], settings: MonitorSettings) -> list[str]:
    """Give the features to watch, in the order of the signature."""
    wanted = features if settings.features == "all" else settings.features
    unknown = [name for name in wanted if name not in features]
    if unknown:
        raise ConfigError(
            "monitors.features",
            [
                Finding(
                    "$.monitors.features", f"The model has no feature `{name}`", "remove it"
                )
                for name in unknown
            ],
        )
    return [name for name in features if name in wanted]
