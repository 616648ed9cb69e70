"""The drift monitor: counts decided events, compares rolling windows with the reference."""

from collections.abc import Callable, Collection, Sequence
from hashlib import sha256

import msgspec
import numpy as np

from sidecar.bundle.manifest import Manifest, ReferenceProfile
from sidecar.bundle.seasonal import SlotCounts
from sidecar.config.settings import MonitorSettings
from sidecar.config.values import Duration
from sidecar.errors import ConfigError, Finding, did_you_mean
from sidecar.events import SOURCE_NAMES, DecisionBatch, Rejection
from sidecar.monitors.alerts import SPEAKER, Compared, DriftAlerts
from sidecar.monitors.answers import AnswerColumns
from sidecar.monitors.calibration import Calibration
from sidecar.monitors.compare import compare
from sidecar.monitors.learning import learned_factors, learning_span_ms
from sidecar.monitors.reference import Reference, chosen_slots, watched_subjects
from sidecar.monitors.snapshot import MonitorSnapshot, SubjectDrift, WindowSnapshot
from sidecar.monitors.windows import RollingWindows, Window
from sidecar.stats.cells import CategoryCells, CellMatrix, CountingTable

# Counts up with each change of what a cell of the same reference means.
_LAYOUT = 1


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
        slots: SlotCounts | None = None,
    ) -> None:
        """Lay out the counts.

        Args:
            manifest: The signature of the model.
            reference: What windows are compared with.
            settings: Panes, windows, and which features are watched.
            measure: The confidence measure that events are decided by.
            slots: The reference by hour of the week, of a bundle that has one.

        Raises:
            ConfigError: `monitors.features` names a feature that the model does not have, or
                `monitors.reference` asks for a seasonal one that is not there.
        """
        features = [feature.name for feature in manifest.features]
        watched = _selected(features, settings)
        self._all_features = watched == features
        self._columns = np.array([features.index(name) for name in watched], np.int64)
        self._answers = AnswerColumns(reference)
        subjects = watched_subjects(reference, watched, measure)
        self._reference = Reference(subjects, chosen_slots(settings.reference, slots))
        self._calibrations = {
            length.ms: Calibration.of_bundle(
                reference, self._reference.kind, length.ms, subjects, measure
            )
            for length in settings.windows
        }
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
            tally=self._table.slices[-1],  # each event has one source
            min_records=settings.min_records,
        )
        self.windows.turning = self._turning
        self.alerts = DriftAlerts(
            settings, [(one.subject, one.name) for one in self._reference.subjects]
        )
        """What is told of the windows, one evaluation after another."""
        self.evaluated: Callable[[int, Callable[[], MonitorSnapshot]], None] | None = None
        """Told of each evaluation, where somebody wants to know: where its windows end, and
        what gives all that is to be shown, which costs as much as the evaluation."""
        self.fingerprint = _fingerprint(
            settings, reference, [subject.name for subject in self._reference.subjects], measure
        )
        """Of what the counts mean. Counts with another one do not add up with these."""
        self._late = 0
        self._future = 0

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection] = ()) -> None:
        """Count a decided batch.

        Args:
            decisions: Rows of several partitions, in the order of their records.
            rejections: Refused records have no features, and are left out.
        """
        events = decisions.events
        cells = self._cells(decisions)
        offsets = events.records.offsets[events.rows]
        for span in self.windows.in_turn(events.spans(), events.event_time_ms):
            rows = slice(span.start, span.stop)
            self._late += self.windows.observe(
                span.partition, offsets[rows], events.event_time_ms[rows], cells[rows]
            )
        self._future += int(np.count_nonzero(events.future))

    def revoked(self, partitions: Collection[int]) -> None:
        """Take the events of these partitions out of the windows.

        Args:
            partitions: Input partitions that belong to somebody else.
        """
        self.windows.revoke(partitions)
        if SPEAKER in partitions:
            self.alerts.forget()

    def released(self, partitions: Collection[int]) -> None:
        """Keep all: everything here is counts, which go on elsewhere.

        Args:
            partitions: Input partitions that belong to somebody else.
        """

    def snapshot(self) -> MonitorSnapshot:
        """Compare all windows with the reference."""
        return self._snapshot(self._compared())

    def _snapshot(self, compared: Compared) -> MonitorSnapshot:
        return MonitorSnapshot(
            windows=tuple(map(self._window, *compared[:2], compared.comparison.drifts())),
            newest_event_time_ms=self.windows.newest_ms,
            late=self._late,
            future=self._future,
            episodes=self.alerts.episodes(),
            episodes_begun=self.alerts.counts(),
            signals_lost=self.alerts.state.lost,
        )

    def _turning(self) -> None:
        """Evaluate the windows, once, when their last pane is over."""
        end_ms = self.windows.end_ms
        judges = self.alerts.judges(end_ms)
        if not judges and self.evaluated is None:
            return
        if judges:
            self._learn(end_ms)
        compared = self._compared()
        if judges:
            self.alerts.take(end_ms, compared)
        if self.evaluated is not None:
            self.evaluated(end_ms, lambda: self._snapshot(compared))

    def _compared(self) -> Compared:
        windows = self.windows.windows()
        calibrations = [self._calibration(window.length_ms) for window in windows]
        comparison = compare(self._reference, windows, calibrations, self._settings)
        return Compared(windows, calibrations, comparison)

    def _calibration(self, length_ms: int) -> Calibration:
        """Give what the bundle knows of windows of a length, or what live ones showed."""
        known = self._calibrations[length_ms]
        if known.origin == "none":
            for each in self.alerts.state.learned:
                if each.length_ms == length_ms:
                    return Calibration("learned", each.windows, np.array(each.factors))
        return known

    def _learn(self, end_ms: int) -> None:
        """Learn from the first span of live events what the bundle does not know."""
        unknown = [n for n in self._calibrations if self._calibration(n).origin == "none"]
        if not unknown:
            return
        first_ms = self.alerts.state.first_ms
        if first_ms is None:
            oldest_ms = self.windows.oldest_ms
            first_ms = end_ms if oldest_ms is None else oldest_ms
            self.alerts.watch_from(first_ms)
        if end_ms - first_ms >= learning_span_ms(self._settings):
            found = learned_factors(self.windows, self._reference, self._settings, unknown)
            self.alerts.learn(found)
            if len(found) < len(unknown):
                self.alerts.watch_from(end_ms)  # too few events: the next span may have more

    def _cells(self, decisions: DecisionBatch) -> CellMatrix:
        matrix = decisions.events.features.matrix
        features = matrix if self._all_features else matrix[:, self._columns]
        answers = self._answers.matrix(decisions)
        answer_cells = self._table.cells(answers, first=len(self._columns))
        answer_cells[self._answers.excluded(decisions, answers)] = self._table.size
        return np.concatenate((self._table.cells(features), answer_cells), axis=1)

    def _window(
        self, window: Window, calibration: Calibration, subjects: tuple[SubjectDrift, ...]
    ) -> WindowSnapshot:
        sources = window.counts[self._table.slices[-1]][: len(SOURCE_NAMES)].tolist()
        return WindowSnapshot(
            window=str(Duration(window.length_ms)),
            length_ms=window.length_ms,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            records=window.records,
            ready=window.records >= self._settings.min_records,
            decisions=dict(zip(SOURCE_NAMES, sources, strict=True)),
            reference=self._reference.kind,
            calibration=calibration.origin,
            calibration_windows=calibration.windows,
            subjects=subjects,
        )


def _fingerprint(
    settings: MonitorSettings, reference: ReferenceProfile, subjects: list[str], measure: str
) -> str:
    panes = (settings.pane.ms, settings.lateness.ms, max(w.ms for w in settings.windows))
    # Calibration and season say how counts are judged, not what they count.
    counted = msgspec.structs.replace(reference, season=None, span_ms=None, calibration=())
    meaning = (_LAYOUT, msgspec.to_builtins(counted), subjects, measure, panes)
    return sha256(msgspec.json.encode(meaning)).hexdigest()[:16]


def _selected(features: list[str], settings: MonitorSettings) -> list[str]:
    """Give the features to watch, in the order of the signature."""
    wanted = features if settings.features == "all" else settings.features
    unknown = [name for name in wanted if name not in features]
    if unknown:
        raise ConfigError(
            "monitors.features",
            [
                Finding(
                    "$.monitors.features",
                    f"The model has no feature `{name}`",
                    did_you_mean(name, features, "remove it"),
                )
                for name in unknown
            ],
        )
    return [name for name in features if name in wanted]
