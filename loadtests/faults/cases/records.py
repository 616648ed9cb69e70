"""Poisoned records, wrong clocks, a model that does not answer, outputs that are not taken."""

from collections import Counter
from pathlib import Path

from loadtests.faults.clock import now_s
from loadtests.faults.poison import HUGE
from loadtests.faults.scene import DELIVERY_S, PARTITIONS, SESSION_S, Fault, Limits, Scene

_HOUR_MS = 3_600_000
_PAUSE_S = 5.0


def poison(scene: Scene) -> None:
    """One record of a hundred is bad in one of twelve ways, and one has 10 MB."""
    scene.driver.poison_share = 0.01
    scene.driver.burst(100_000 if scene.long else 10_000)
    scene.driver.poison_share = 0.2
    scene.driver.send_poison(HUGE)
    scene.run_for(10 if scene.long else 5)


def poison_killed(scene: Scene) -> None:
    """Kill sidecars while a third of the records is bad."""
    scene.driver.poison_share = 0.3
    for _ in range(6 if scene.long else 2):
        scene.run_for(scene.rng.uniform(1.0, 4.0))
        scene.rng.choice(scene.fleet.alive).kill()
        scene.count("kill -9")
        scene.fleet.start(wait=False)
        scene.run_for(SESSION_S)
        scene.progresses()


def all_poison(scene: Scene) -> None:
    """Send nothing but bad records: it pauses, is not ready, and goes on when they are good."""
    scene.driver.poison_share = 1.0
    scene.run_for(3)
    told = scene.until(lambda: _said(scene, "intake_paused"), "`intake_paused`")
    scene.fleet.scrape()
    unready = any(not scrape.ready for scrape in scene.fleet.scrapes)
    scene.expect(not told or unready, "ready while it is paused")
    scene.driver.poison_share = 0.0
    with scene.outage():
        scene.until(lambda: _said(scene, "intake_resumed"), "`intake_resumed`")
    scene.note("pauses", sum(len(m.said("intake_paused")) for m in scene.fleet.members))
    scene.run_for(2 * _PAUSE_S)


def _said(scene: Scene, event: str) -> bool:
    return any(member.said(event) for member in scene.fleet.members)


def letters_gone(scene: Scene) -> None:
    """Delete the topic of dead letters while some are due, and make it again."""
    scene.driver.poison_share = 0.1
    scene.run_for(3)
    scene.settled()
    scene.keep(scene.letters)
    cluster = scene.site.cluster
    with scene.outage():
        cluster.one().delete_topic(scene.letters)
        _becomes_unready(scene)
        _make_again(scene, scene.letters)
    scene.progresses()


def _becomes_unready(scene: Scene) -> None:
    """See that a missing topic is told within the delivery time-out, and nothing committed."""
    scene.driver.start()
    began_s = now_s()
    scene.until(lambda: not _ready(scene), "not ready", DELIVERY_S + 15.0)
    scene.note("told after, s", now_s() - began_s)
    before = scene.reader.committed(scene.events)
    scene.run_for(3)
    held = scene.reader.committed(scene.events) == before
    scene.expect(held, "commits went on without the topic")


def _ready(scene: Scene) -> bool:
    scene.fleet.scrape()
    return all(scene.fleet.last[member.name].ready for member in scene.fleet.alive)


def decisions_gone(scene: Scene) -> None:
    """Delete the topic of decisions under load, and make it again."""
    scene.settled()
    scene.keep(scene.decisions)
    with scene.outage():
        scene.site.cluster.one().delete_topic(scene.decisions)
        _becomes_unready(scene)
        _make_again(scene, scene.decisions)
    scene.progresses()


def _make_again(scene: Scene, topic: str) -> None:
    scene.site.create_topic(topic, PARTITIONS, message_timestamp_type="LogAppendTime")


def decisions_refused(scene: Scene) -> None:
    """Let the broker refuse every decision for a while: it allows 100 bytes."""
    broker = scene.site.cluster.one()
    broker.set_config(scene.decisions, max_message_bytes="100")
    scene.run_for(8)
    broker.set_config(scene.decisions, max_message_bytes="1000000")
    scene.decides()
    scene.run_for(3)
    refused = sum(
        scrape.rejected.get("output_refused", 0) for scrape in scene.fleet.last.values()
    )
    scene.note("decisions refused", refused)
    scene.expect(refused > 0, "no decision was refused")


def record_times(scene: Scene) -> None:
    """Let producers be an hour behind, an hour ahead, and a day ahead."""
    for hours in (-1, 1, 24, 0):
        scene.driver.shift_ms = hours * _HOUR_MS
        scene.run_for(4)
    scene.progresses()


def own_clock(scene: Scene) -> None:
    """Add a sidecar whose clock is an hour and a minute ahead, and one that is behind."""
    for shift in ("+61m", "-61m"):
        scene.fleet.environment = _shifted(shift)
        member = scene.fleet.start()
        scene.run_for(6)
        scene.expect(member.code is None, f"ended with a clock of {shift}")
        member.ask_to_end()
        member.ends(20)
    scene.fleet.environment = {}
    scene.progresses()


def _shifted(shift: str) -> dict[str, str]:
    """Give the environment in which a process has another time of day.

    Raises:
        LookupError: libfaketime is not installed.
    """
    found = [*Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")]
    if not found:
        raise LookupError("libfaketime is missing: install the system package faketime")
    # Only the time of day: what runs by the monotonic clock has no reason to notice.
    return {"LD_PRELOAD": str(found[0]), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def slow_model(scene: Scene) -> None:
    """Let the model miss its deadline, and kill sidecars meanwhile."""
    for _ in range(4 if scene.long else 2):
        scene.driver.burst(3_000)
        scene.run_for(3)
        scene.rng.choice(scene.fleet.alive).kill()
        scene.count("kill -9")
        scene.fleet.start(wait=False)
        scene.run_for(SESSION_S)
        scene.progresses()
    answered = sum((Counter(s.decided) for s in scene.fleet.last.values()), Counter())
    late = sum(count for kind, count in answered.items() if not kind.startswith("model/"))
    scene.note("answers without the model", late)
    scene.expect(late > 0, "the model missed no deadline")


FAULTS = (
    Fault(
        "poison",
        "R18 R32",
        "1 % to 20 % of the records are bad in twelve ways; one has 10 MB",
        "each is a dead letter, whole and with the right code; the others are decided",
        poison,
        short=("at_least_once",),
        limits=Limits(recovery_s=8.0, duplicates=0),
    ),
    Fault(
        "poison-killed",
        "R2 R18",
        "`kill -9` while 30 % of the records are bad",
        "no bad and no good record is lost; dead letters are whole",
        poison_killed,
        members=2,
    ),
    Fault(
        "all-poison",
        "R18",
        "every record is bad for a while",
        "it pauses, is not ready, loses nothing, and goes on by itself",
        all_poison,
        config={"limits": {"dead_letter_share": 0.5, "dead_letter_pause": f"{_PAUSE_S:g}s"}},
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "dead-letters-gone",
        "R20",
        "the topic of dead letters is deleted and made again",
        "no offset is committed meanwhile, not ready, nothing is skipped",
        letters_gone,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "decisions-gone",
        "R21",
        "the topic of decisions is deleted and made again",
        "not ready meanwhile, nothing is skipped, goes on by itself",
        decisions_gone,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "decisions-refused",
        "R21",
        "`max.message.bytes` of the decisions is too small for 8 s",
        "what is refused becomes a dead letter with `output_refused`; decides again in 30 s",
        decisions_refused,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "record-times",
        "R25",
        "timestamps of events are an hour behind, an hour and a day ahead",
        "every event is decided, nothing is lost",
        record_times,
        state_kept=False,
    ),
    Fault(
        "own-clock",
        "R25",
        "beside one that is right, sidecars with a clock 61 minutes ahead and behind",
        "nothing is lost, nobody ends",
        own_clock,
        broker_times=False,
        limits=Limits(recovery_s=40.0, settle_s=120.0),
    ),
    Fault(
        "slow-model",
        "R24",
        "the model's deadline is 1 ms, with `kill -9` meanwhile",
        "every event has a decision; repeated ones differ by time-out or circuit alone",
        slow_model,
        members=2,
        config={"model": {"timeout": "1ms"}, "breaker": {"probe_every": "1s"}},
    ),
)
