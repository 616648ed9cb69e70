"""Versions and configs that change while events flow: back and forth, side by side."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer

from tests.integration.conftest import Launch
from tests.integration.earlier import OLDEST, earlier
from tests.integration.service import (
    PARTITIONS,
    Output,
    Sidecar,
    Topics,
    eventually,
    good_events,
    ids,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

COUNT = 8_000
SLOW = {"max_batch_records": 64}
RESETS = "sidecar_state_resets_total"
Run = Callable[[Path], list[str]]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The oldest version that is promised to go together with this one."""
    return earlier(tmp_path_factory.mktemp(f"sidecar-{OLDEST[:7]}"))


def window(sidecar: Sidecar) -> float:
    """The events in the longest window, of all partitions."""
    return sidecar.sample("sidecar_window_records", window="24h")


def part(sidecar: Sidecar) -> int:
    """How many partitions it has, by its log."""
    return len(sidecar.said("partitions_assigned")["partitions"])


def resets(*sidecars: Sidecar) -> list[dict[str, Any]]:
    """What was said of counts that begin anew."""
    return [line for one in sidecars for line in one.log if line["event"] == "state_reset"]


def all_once(topics: Topics, count: int) -> list[Output]:
    """Give the decisions, of which each event must have exactly one, and no dead letter."""
    decisions = topics.read(topics.decisions)
    assert sorted(ids(decisions)) == sorted(f"e{at}" for at in range(count))
    assert topics.read(topics.letters) == []
    return decisions


# --- versions --------------------------------------------------------------------------------


def test_an_upgrade_and_a_roll_back_under_load_decide_each_event_once(
    kafka_topics: Topics, launch: Launch, before: Run
) -> None:
    """One replica after the other is replaced, by the new version and by the old one again."""
    topics = kafka_topics
    topics.send(good_events(COUNT))
    old = launch(topics, before, model=SLOW)
    eventually(lambda: old.books()["decided"] > 200, "the first decisions of the old version")
    new = launch(topics, model=SLOW)
    eventually(lambda: part(old) == part(new) == PARTITIONS // 2, "a share for each version")
    topics.send(good_events(COUNT, first=COUNT))
    upgraded = old.stop()
    eventually(lambda: part(new) == PARTITIONS, "the new version alone")
    again = launch(topics, before, model=SLOW)
    eventually(lambda: part(again) == part(new) == PARTITIONS // 2, "the old version is back")
    topics.send(good_events(COUNT, first=2 * COUNT))
    rolled_back = new.stop()
    eventually(topics.settled, "a committed outcome of every event", 60)

    assert (upgraded, rolled_back) == (0, 0)
    assert old.said("sidecar_started")["version"] == again.said("sidecar_started")["version"]
    decisions = all_once(topics, 3 * COUNT)
    # Who decided makes no difference: equal events, equal answers, ids that no two share.
    answers = {(d.json["label"], d.json["score"], d.json["version"]) for d in decisions}
    assert len(answers) == 1
    assert len({d.json["id"] for d in decisions}) == 3 * COUNT
    assert window(again) == 3 * COUNT
    assert resets(old, new, again) == []
    assert again.stop() == 0


def test_each_version_counts_on_from_what_the_other_stored(
    kafka_topics: Topics, launch: Launch, before: Run
) -> None:
    topics = kafka_topics
    counted = []
    versions: list[dict[str, Run]] = [{"command": before}, {}, {"command": before}]
    for turn, version in enumerate(versions):
        sidecar = launch(topics, **version).working()
        sidecar.becomes()  # only then is what was stored restored
        restored = window(sidecar)
        topics.send(good_events(400, first=400 * turn))
        eventually(topics.settled, "the outcomes of this turn")
        counted.append((restored, window(sidecar)))
        assert resets(sidecar) == []
        assert sidecar.stop() == 0

    assert counted == [(0, 400), (400, 800), (800, 1200)]
    all_once(topics, 1200)


# --- a config that changes -------------------------------------------------------------------


def test_a_threshold_that_is_rolled_out_decides_each_event_once(
    kafka_topics: Topics, launch: Launch
) -> None:
    """For a while both configs are at work; afterwards the new one alone."""
    topics = kafka_topics
    topics.send(good_events(COUNT))
    sure: dict[str, Any] = {
        "confidence": {"threshold": 0.999},
        "fallback": {"default": {"label": "review"}},
    }
    first, second = launch(topics, model=SLOW), launch(topics, model=SLOW)
    eventually(lambda: part(first) == part(second) == PARTITIONS // 2, "two shares")
    third = launch(topics, model=SLOW, **sure)
    left = [first.stop()]
    topics.send(good_events(COUNT, first=COUNT))
    left.append(second.stop())
    eventually(lambda: part(third) == PARTITIONS, "the new config alone")
    eventually(topics.settled, "a committed outcome of every event", 60)
    topics.send(good_events(100, first=2 * COUNT))
    eventually(topics.settled, "the last outcomes")
    books = third.books()

    decisions = all_once(topics, 2 * COUNT + 100)
    assert left == [0, 0]
    assert {(d.json["reason"], d.json["label"]) for d in decisions} == {
        ("confident", "approve"),
        ("low_confidence", "review"),
    }
    last = [d for d in decisions if int(d.json["event_id"][1:]) >= 2 * COUNT]
    assert {d.json["reason"] for d in last} == {"low_confidence"}
    assert {(d.json["model"], d.json["version"]) for d in decisions} == {("credit", "7")}
    returned = third.sample("sidecar_records_returned_total")
    assert books["received"] == books["decided"] + returned
    # A threshold says how counts are judged, not what they count: the windows go on.
    assert window(third) == 2 * COUNT + 100
    assert resets(first, second, third) == []


# --- what a later version may store ----------------------------------------------------------


def rewrite(topics: Topics, change: Callable[[dict[str, Any]], object]) -> None:
    """Store what stands on the state topic once more, with each mark and pane changed."""
    newest = {(one.partition, one.key): one.value for one in topics.read(topics.state)}
    producer = Producer({"bootstrap.servers": topics.bootstrap, "log_level": 0})
    for (partition, key), value in newest.items():
        if value is not None and key is not None and not key.endswith(b"/rule"):
            changed = change(msgspec.msgpack.decode(value))
            content = msgspec.msgpack.encode(changed)
            producer.produce(topics.state, content, key, partition=partition)
    assert producer.flush(15) == 0


@pytest.fixture
def stored(kafka_topics: Topics, launch: Launch) -> Topics:
    """Topics on which 400 events were decided and counted."""
    first = launch(kafka_topics).working()
    kafka_topics.send(good_events(400))
    eventually(kafka_topics.settled, "400 outcomes")
    assert first.stop() == 0
    return kafka_topics


def after(topics: Topics, launch: Launch, **version: Run) -> Sidecar:
    """Start once more, and let it decide 400 further events."""
    sidecar = launch(topics, **version).working()
    topics.send(good_events(400, first=400))
    eventually(topics.settled, "400 further outcomes")
    return sidecar


def reasons(lines: Iterable[dict[str, Any]]) -> set[str]:
    return {line["reason"] for line in lines}


@pytest.mark.parametrize("oldest", [False, True], ids=["this version", "the oldest"])
def test_fields_of_a_later_version_are_passed_over(
    stored: Topics, launch: Launch, before: Run, oldest: bool
) -> None:
    rewrite(stored, lambda value: {**value, "of_tomorrow": {"more": [1, 2]}})

    version: dict[str, Run] = {"command": before} if oldest else {}
    sidecar = after(stored, launch, **version)

    assert resets(sidecar) == []
    assert window(sidecar) == 800
    all_once(stored, 800)


@pytest.mark.parametrize("oldest", [False, True], ids=["this version", "the oldest"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda value: {**value, "fingerprint": "of-another-layout"}, "config", id="layout"
        ),
        pytest.param(lambda value: [2, *value.values()], "damaged", id="encoding"),
    ],
)
def test_counts_of_a_later_format_begin_anew_in_words_and_no_event_is_lost(
    stored: Topics,
    launch: Launch,
    before: Run,
    change: Callable[[dict[str, Any]], object],
    reason: str,
    oldest: bool,
) -> None:
    rewrite(stored, change)

    version: dict[str, Run] = {"command": before} if oldest else {}
    sidecar = after(stored, launch, **version)

    assert reasons(resets(sidecar)) == {reason}
    assert sidecar.sample(RESETS, reason=reason) == PARTITIONS
    assert window(sidecar) == 400
    all_once(stored, 800)
    assert sidecar.stop() == 0
    # Written over by what begins anew, so the next start has nothing to say.
    third = launch(stored).working()
    third.becomes()
    assert resets(third) == []
    assert window(third) == 400
