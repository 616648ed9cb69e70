"""Who judges, what is handed on, and what is told."""

from collections.abc import Callable

import numpy as np
import pytest

from sidecar.config.settings import DriftSettings
from sidecar.config.values import Duration
from sidecar.monitors import alerts
from sidecar.monitors.alerts import KnownState
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.episodes import DriftEpisode
from sidecar.monitors.snapshot import MonitorSnapshot
from tests.flows.harness import calibrated
from tests.unit.monitors.test_drift import (
    START,
    decided,
    manifest,
    reference,
    rows,
    settings,
)

MINUTE = 60_000
LENGTHS = 300_000, 3_600_000
PROMPT = DriftSettings(hold=Duration(2 * MINUTE), resolve=Duration(2 * MINUTE))


def monitor(**changed: object) -> DriftMonitor:
    """A monitor whose bundle knows its windows."""
    given = {"drift": PROMPT, **changed}
    return DriftMonitor(manifest(), calibrated(reference(), *LENGTHS), settings(**given))


def live(made: DriftMonitor, minutes: range, shift: float = 0.0) -> None:
    """Let minutes pass, each with events of its own offsets."""
    for at in minutes:
        batch = decided(rows(400, seed=at, shift=shift), start_ms=START + at * MINUTE)
        batch.events.records.offsets[:] += at * 1_000
        made.observe(batch)


def drifting(made: DriftMonitor) -> set[tuple[str, str, str]]:
    return {(e.window, e.name, e.severity) for e in made.snapshot().episodes}


def test_what_is_as_the_reference_drifts_never() -> None:
    made = monitor()

    live(made, range(30))

    assert drifting(made) == set()
    assert {each.count for each in made.snapshot().episodes_begun} == {0}


def test_a_feature_that_is_shifted_drifts_after_the_hold_and_the_data_set_with_it() -> None:
    made = monitor()

    live(made, range(4), shift=9.0)
    before = drifting(made)
    live(made, range(4, 5), shift=9.0)

    # Turns end the minutes 0 to 3; the first two are no verdict of 2 min yet.
    assert before == {
        (window, name, severity)
        for window in ("5m", "1h")
        for name in ("age", "dataset")
        for severity in ("warning", "critical")
    }
    assert drifting(made) == before


def test_the_numbers_of_an_episode_are_those_of_its_window() -> None:
    made = monitor()

    live(made, range(5), shift=9.0)

    episode = next(e for e in made.snapshot().episodes if e.name == "age")
    assert isinstance(episode, DriftEpisode)
    assert episode.since_ms == START + MINUTE
    assert episode.began_ms == episode.evidence.end_ms == START + 3 * MINUTE
    assert episode.evidence.records == 1_200
    assert episode.evidence.p is not None
    assert episode.evidence.p < 0.01
    assert len(episode.evidence.bins) == 5
    changes = [abs(each.current - each.reference) for each in episode.evidence.bins]
    assert changes == sorted(changes, reverse=True)


def test_who_does_not_speak_judges_nothing_and_shows_what_the_speaker_found() -> None:
    speaker, other = monitor(), monitor()
    other.alerts.speaks = lambda: False

    live(speaker, range(5), shift=9.0)
    live(other, range(5), shift=9.0)
    alone = drifting(other)
    other.alerts.follow(speaker.alerts.state)

    assert alone == set()
    assert drifting(other) == drifting(speaker) != set()
    assert other.alerts.due(kept=True) == ()


def test_an_older_state_is_not_followed_but_one_that_began_anew_is() -> None:
    made = monitor()
    made.alerts.speaks = lambda: False
    source = monitor()
    live(source, range(5), shift=9.0)
    made.alerts.follow(source.alerts.state)
    newest = made.alerts.state

    made.alerts.follow(KnownState())
    kept = made.alerts.state
    made.alerts.follow(KnownState(era=1))

    assert kept == newest
    assert made.alerts.state == KnownState(era=1)


def test_what_is_no_longer_watched_is_left_out_of_what_is_followed() -> None:
    source, made = monitor(), monitor(windows=[Duration(LENGTHS[1])])
    made.alerts.speaks = lambda: False
    live(source, range(5), shift=9.0)

    made.alerts.follow(source.alerts.state)

    assert {window for window, _, _ in drifting(made)} == {"1h"}


def test_only_what_is_stored_is_told_and_once() -> None:
    made = monitor()
    live(made, range(5), shift=9.0)
    early = made.alerts.due(kept=True)

    made.alerts.stored(made.alerts.state)
    edges = made.alerts.due(kept=True)
    made.alerts.told(edges)

    assert early == ()
    assert {edge.turn for edge in edges} == {"began"}
    assert made.alerts.due(kept=True) == made.alerts.due(kept=False) == ()
    assert made.alerts.changed


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alerts, "_MOST_UNTOLD", 1)
    made = monitor()
    for begin in range(0, 1_200, 120):
        live(made, range(begin, begin + 10), shift=9.0)
        live(made, range(begin + 10, begin + 120))

    begun = sum(each.count for each in made.snapshot().episodes_begun)
    ended = begun - len(made.snapshot().episodes)
    edges = made.alerts.due(kept=False)
    assert made.snapshot().signals_lost == begun + ended - len(edges) > 0


def test_one_evaluation_never_drops_what_it_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "_MOST_UNTOLD", 1)
    made = monitor()

    live(made, range(5), shift=9.0)

    assert len(made.alerts.due(kept=False)) > 1
    assert made.snapshot().signals_lost == 0


def test_partition_0_takes_the_episodes_with_it() -> None:
    made = monitor()
    live(made, range(5), shift=9.0)

    made.revoked([3])
    kept = drifting(made)
    made.revoked([0])

    assert kept != set()
    assert drifting(made) == set()


def test_windows_that_nobody_knows_are_not_judged() -> None:
    made = DriftMonitor(manifest(), reference(), settings(drift=PROMPT))

    live(made, range(20), shift=9.0)

    assert drifting(made) == set()
    assert {window.calibration for window in made.snapshot().windows} == {"none"}


def learner() -> DriftMonitor:
    """The bundle knows no window; a span of 50 minutes is looked at, within 1 h."""
    return DriftMonitor(manifest(), reference(), settings(drift=PROMPT))


def test_what_live_windows_show_arms_the_rule_whatever_is_shifted_all_the_time() -> None:
    made = learner()

    live(made, range(66), shift=9.0)

    assert [w.calibration for w in made.snapshot().windows] == ["learned", "learned"]
    factors = [factor for each in made.alerts.state.learned for factor in each.factors]
    assert max(factors) < 2.0
    assert {name for _, name, _ in drifting(made)} >= {"age", "dataset"}


def test_what_varies_from_window_to_window_is_learned_as_usual() -> None:
    made = learner()

    for at in range(66):
        live(made, range(at, at + 1), shift=4.0 * np.sin(at / 8))

    age = [each.factors[0] for each in made.alerts.state.learned]
    sex = [each.factors[1] for each in made.alerts.state.learned]
    assert min(age) > 5 > max(sex)
    assert "age" not in {name for _, name, _ in drifting(made)}


def test_what_is_learned_stays_and_goes_to_the_next_speaker() -> None:
    made, other = learner(), learner()
    live(made, range(66))
    learned = made.alerts.state.learned

    live(made, range(66, 80), shift=9.0)
    other.alerts.follow(made.alerts.state)

    assert made.alerts.state.learned == other.alerts.state.learned == learned
    assert [w.calibration_windows for w in other.snapshot().windows] == [12, 10]


def test_too_few_events_teach_nothing() -> None:
    made = learner()

    for at in range(66):
        batch = decided(rows(2, seed=at), start_ms=START + at * MINUTE)
        batch.events.records.offsets[:] += at * 10
        made.observe(batch)

    assert made.alerts.state.learned == ()
    assert made.snapshot().windows[0].calibration == "none"


def test_an_evaluation_is_shown_to_whoever_wants_to_know() -> None:
    made = monitor()
    ends: list[int] = []
    shown: list[int] = []

    def note(end_ms: int, ask: Callable[[], MonitorSnapshot]) -> None:
        ends.append(end_ms)
        shown.append(ask().windows[0].end_ms)

    made.evaluated = note

    live(made, range(3))

    assert ends == shown == [START + MINUTE, START + 2 * MINUTE]
