"""A group that rebalances without end, topics that grow, offsets and records that are gone."""

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import NewPartitions

from loadtests.faults.clock import now_s
from loadtests.faults.fleet import Member
from loadtests.faults.scene import (
    PARTITIONS,
    SESSION_S,
    SHUTDOWN_S,
    Fault,
    Limits,
    Scene,
)

_CALM_S = 30.0
_MORE = 6
# The client of the product looks for partitions this often.
_METADATA_S = 300.0
_NAME = "replica-1"
_TWIN = f"another process is `{_NAME}` in the group too"
_TWINS_S = 90.0


def storm(scene: Scene) -> None:
    """Let members join and leave all the time, some in order and some not."""
    rounds = 40 if scene.long else 6
    stays = scene.fleet.alive[0]
    guests: list[Member] = []
    for _ in range(rounds):
        guests.append(scene.fleet.start(wait=False))
        scene.run_for(scene.rng.uniform(1.0, 3.0))
        if len(guests) > 2:
            _leave(scene, guests.pop(0))
    for guest in guests:
        _leave(scene, guest)
    scene.note("rounds", rounds)
    scene.progresses(_CALM_S)
    scene.run_for(SESSION_S)
    owns_all = len(stays.said("partitions_assigned")[-1]["partitions"]) == PARTITIONS
    scene.expect(owns_all, "the member that stays does not have all partitions")


def _leave(scene: Scene, guest: Member) -> None:
    # Before that it has no say in how it ends.
    guest.await_said("sidecar_started")
    if scene.rng.random() < 0.5:
        guest.kill()
    else:
        guest.ask_to_end()
        code = guest.ends(SHUTDOWN_S + 5.0)
        scene.expect(code == 0, f"a guest left with exit code {code}")


def series_leave(scene: Scene) -> None:
    """Let a second member take half of the partitions: their series leave with them."""
    scene.run_for(2)
    (first,) = scene.fleet.alive
    second = scene.fleet.start()
    scene.run_for(5)
    for member in (first, second):
        scrape = member.scrape()
        owned = set(member.said("partitions_assigned")[-1]["partitions"])
        shown = set(scrape.partitions) if scrape else set()
        scene.expect(shown == owned, f"{member.name} has {owned} and shows {shown}")
    scene.progresses()


def more_partitions(scene: Scene) -> None:
    """Give the events topic two more partitions under load."""
    admin = scene.site.cluster.admin()
    for topic in (scene.events, scene.decisions, scene.state):
        admin.create_partitions([NewPartitions(topic, _MORE)])[topic].result(15)
    scene.watch.partitions_raised(_MORE)
    scene.driver.hold()
    scene.driver.partitions = _MORE
    scene.driver.start()
    with scene.outage():
        scene.until(
            lambda: scene.reader.committed(scene.events).get(_MORE - 1, 0) > 0,
            "a commit in a partition that came later",
            _METADATA_S + 60.0,
        )
    scene.note("picked up after, s", scene.outage_s)


def offsets_deleted(scene: Scene) -> None:
    """Delete the group with its offsets while nobody is in it."""
    leave_all(scene)
    admin = scene.site.cluster.admin()
    with scene.outage():
        with scene.watch.offsets_moved():
            admin.delete_consumer_groups([scene.group])[scene.group].result(15)
        scene.fleet.start()
    scene.progresses()


def offsets_set_back(scene: Scene) -> None:
    """Set the group's offsets back to an earlier place while nobody is in it."""
    leave_all(scene)
    committed = scene.reader.committed(scene.events)
    back = [TopicPartition(scene.events, p, at // 2) for p, at in committed.items()]
    request = ConsumerGroupTopicPartitions(scene.group, back)
    with scene.outage():
        admin = scene.site.cluster.admin()
        with scene.watch.offsets_moved():
            admin.alter_consumer_group_offsets([request])[scene.group].result(15)
        scene.fleet.start()
    scene.progresses()


def expired(scene: Scene) -> None:
    """Delete records that were not read yet, as a retention that is too short does."""
    leave_all(scene)
    committed = scene.reader.committed(scene.events)
    scene.driver.burst(4_000)
    scene.driver.hold()
    first = {p: at + 500 for p, at in committed.items()}
    scene.expired |= {(p, at) for p, end in first.items() for at in range(committed[p], end)}
    admin = scene.site.cluster.admin()
    # What was decided before is judged beside its event, which is deleted as well.
    scene.keep(scene.events)
    wanted = [TopicPartition(scene.events, p, at) for p, at in first.items()]
    for done in admin.delete_records(wanted).values():
        done.result(15)
    with scene.outage():
        member = scene.fleet.start()
        scene.driver.start()
        scene.run_for(2)
    scene.progresses()
    lines = member.said("records_expired")
    scene.note("partitions told", len(lines))
    scene.expect(len(lines) == PARTITIONS, f"{len(lines)} partitions told")


def leave_all(scene: Scene) -> None:
    """Let all members end in order."""
    for member in scene.fleet.alive:
        member.ask_to_end()
        code = member.ends(SHUTDOWN_S + 5.0)
        scene.expect(code == 0, f"exit code {code}")


def twins(scene: Scene) -> None:
    """Start a second sidecar that goes by the name of the first one in the group."""
    (older,) = scene.fleet.alive
    for _ in range(4 if scene.long else 1):
        younger = scene.fleet.start(wait=False)
        at_s = now_s()
        code = younger.ends(_TWINS_S)
        scene.note(
            "ended after, s", max(now_s() - at_s, scene.figures.get("ended after, s", 0.0))
        )
        scene.expect(code == 1, f"the younger ended with exit code {code}")
        scene.expect(_TWIN in younger.output, "the younger did not say why it ended")
        scene.expect(older.code is None, "the older ended")
        scene.progresses()


FAULTS = (
    Fault(
        "storm",
        "R15",
        "members join and leave every 1 to 3 s, half of them by `kill -9`",
        "progress within 30 s of the calm, no offset goes back, nothing lost",
        storm,
        limits=Limits(recovery_s=120.0, settle_s=120.0),
    ),
    Fault(
        "series-leave",
        "R15 R32",
        "a second member takes half of the partitions",
        "each member shows series of its own partitions alone",
        series_leave,
        short=("at_least_once",),
        limits=Limits(recovery_s=16.0),
    ),
    Fault(
        "more-partitions",
        "R27",
        "the topics get two more partitions under load",
        "they are picked up within 5 minutes, which is the age of the client's metadata",
        more_partitions,
        limits=Limits(recovery_s=30.0),
        partitions_kept=False,
    ),
    Fault(
        "offsets-deleted",
        "R28",
        "the group is deleted with its offsets",
        "it begins with the earliest event, nothing is lost; decided again with equal bytes",
        offsets_deleted,
        limits=Limits(recovery_s=20.0),
        repeats=True,
    ),
    Fault(
        "offsets-set-back",
        "R28",
        "the group's offsets are set back by half",
        "what was decided is decided again with equal bytes, nothing is lost",
        offsets_set_back,
        limits=Limits(recovery_s=20.0),
        repeats=True,
    ),
    Fault(
        "records-expired",
        "R28",
        "500 events of each partition are deleted before they are read",
        "those alone are missing, each partition is told in the log; goes on with the rest",
        expired,
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "twins",
        "R17",
        "a second sidecar has the same `kafka.instance_id`",
        "the younger says so and ends with exit code 1; nothing lost, windows exact",
        twins,
        config={"kafka": {"instance_id": _NAME}},
        limits=Limits(recovery_s=60.0, settle_s=90.0),
    ),
)
