"""Episodes begin after the hold and end after the resolve, whatever the evaluations say."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.settings import DriftSettings
from sidecar.config.values import Duration
from sidecar.events import Severity
from sidecar.monitors.alerts import KnownState
from sidecar.monitors.episodes import SEVERITIES, Evidence
from sidecar.monitors.rule import (
    Edge,
    RuleState,
    Track,
    Verdict,
    WindowVerdicts,
    active,
    fold,
    tolerance,
)

PANE, LENGTH = 60_000, 300_000
NAMES = ("age", "amount", "city", "sex", "wage")
SETTINGS = DriftSettings(hold=Duration(3 * PANE), resolve=Duration(4 * PANE))


class Said(NamedTuple):
    """What one evaluation says of one feature: its p-values are 0 or 1."""

    excess: float
    rejected: bool


class Evaluation(NamedTuple):
    end_ms: int
    said: dict[str, Said]
    """None of a feature that has too few records."""


said = st.builds(Said, st.sampled_from([-0.01, 0.005, 0.03, 0.08, 0.4]), st.booleans())
evaluations = st.lists(
    st.tuples(st.integers(1, 3), st.dictionaries(st.sampled_from(NAMES), said)), max_size=60
).map(lambda drawn: list(numbered(drawn)))


def numbered(drawn: Sequence[tuple[int, dict[str, Said]]]) -> Iterator[Evaluation]:
    end_ms = 1_000 * PANE
    for panes, each in drawn:
        end_ms += panes * PANE
        yield Evaluation(end_ms, each)


def window(evaluation: Evaluation) -> WindowVerdicts:
    end_ms, records = evaluation.end_ms, 1_000
    evidence = Evidence(start_ms=end_ms - LENGTH, end_ms=end_ms, records=records)

    def of(severity: Severity) -> Evidence:
        return evidence

    verdicts = [
        Verdict("feature", name, excess, dict.fromkeys(SEVERITIES, 1.0 - rejected), of)
        for name, (excess, rejected) in evaluation.said.items()
    ]
    return WindowVerdicts(LENGTH, verdicts, NAMES, evidence)


def folded(
    seen: Sequence[Evaluation], state: RuleState | None = None
) -> tuple[RuleState, list[Edge]]:
    edges: list[Edge] = []
    state = state or RuleState()
    for each in seen:
        state, new = fold(state, SETTINGS, each.end_ms, [window(each)])
        edges += new
    return state, edges


def expected(
    seen: Sequence[Evaluation], name: str, severity: Severity
) -> list[tuple[str, int, int]]:
    """Say by other means when episodes of a feature begin and end."""
    verdicts = [(e.end_ms, *e.said[name]) for e in seen if name in e.said]
    limit = tolerance(SETTINGS, severity) / 2
    found: list[tuple[str, int, int]] = []
    run: int | None = None
    is_active = False
    for end_ms, excess, rejected in verdicts:
        counts = excess < limit if is_active else rejected
        run = (end_ms if run is None else run) if counts else None
        lasts = SETTINGS.resolve.ms if is_active else SETTINGS.hold.ms
        if run is not None and end_ms - run >= lasts:
            found.append(("ended" if is_active else "began", end_ms, run))
            is_active, run = not is_active, None
    return found


@given(evaluations)
def test_episodes_are_what_a_count_by_hand_finds(seen: list[Evaluation]) -> None:
    _, edges = folded(seen)

    by_track = defaultdict(list)
    for edge in edges:
        by_track[edge.track].append((edge.turn, edge.at_ms))
    for name in NAMES:
        for severity in SEVERITIES:
            track = Track(LENGTH, "feature", name, severity)
            wanted = [(turn, at_ms) for turn, at_ms, _ in expected(seen, name, severity)]
            assert by_track[track] == wanted


@given(evaluations)
def test_an_episode_counts_from_what_was_seen_first(seen: list[Evaluation]) -> None:
    _, edges = folded(seen)

    for edge in edges:
        if edge.turn == "began" and edge.track.subject == "feature":
            began = [e for e in expected(seen, *edge.track[2:]) if e[0] == "began"]
            assert ("began", edge.at_ms, edge.since_ms) in began


@given(evaluations)
def test_the_data_set_follows_its_features(seen: list[Evaluation]) -> None:
    state = RuleState()
    for each in seen:
        state, _ = fold(state, SETTINGS, each.end_ms, [window(each)])
        drifting = {p.track.name for p in active(state) if p.track.subject == "feature"}
        dataset = {p.track.severity for p in active(state) if p.track.subject == "dataset"}

        share = len(drifting) / len(NAMES)
        assert ("warning" in dataset) == bool(drifting)
        assert ("critical" in dataset) == (share >= SETTINGS.dataset_share)


@given(evaluations, st.integers(0, 60))
def test_an_evaluation_without_a_verdict_changes_nothing(
    seen: list[Evaluation], at: int
) -> None:
    state, _ = folded(seen[:at])
    end_ms = (state.end_ms or 0) + PANE

    after, edges = fold(state, SETTINGS, end_ms, [])

    assert edges == ()
    assert msgspec.structs.replace(after, end_ms=state.end_ms) == state


@given(evaluations, st.integers(0, 60), st.booleans())
def test_what_was_evaluated_is_not_evaluated_again(
    seen: list[Evaluation], at: int, rejected: bool
) -> None:
    state, _ = folded(seen[: at + 1])

    for each in seen[: at + 1]:
        other = Evaluation(each.end_ms, dict.fromkeys(NAMES, Said(0.4, rejected)))
        assert fold(state, SETTINGS, other.end_ms, [window(other)]) == (state, ())


@given(st.lists(st.booleans(), max_size=60))
def test_around_its_tolerance_an_episode_does_not_flap(rejected: list[bool]) -> None:
    """The excess stays above half of the tolerance, and the test says now this, now that."""
    begin = [Evaluation(at * PANE, {"age": Said(0.4, True)}) for at in range(1, 6)]
    near = [
        Evaluation(at * PANE, {"age": Said(0.06, each)}) for at, each in enumerate(rejected, 6)
    ]

    _, edges = folded([*begin, *near])

    assert [edge.turn for edge in edges if edge.track.subject == "feature"] == ["began"] * 2


@given(evaluations, st.integers(0, 60))
def test_a_state_that_was_stored_goes_on_as_it_was(seen: list[Evaluation], at: int) -> None:
    before, edges = folded(seen[:at])
    known = KnownState(rule=before, untold=tuple(edges))

    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(known), type=KnownState)
    after, more = folded(seen[at:], stored.rule)

    assert stored == known
    assert (after, edges + more) == folded(seen)


@given(evaluations)
def test_begun_episodes_are_counted(seen: list[Evaluation]) -> None:
    state, edges = folded(seen)

    assert sum(state.begun.values()) == sum(edge.turn == "began" for edge in edges)
