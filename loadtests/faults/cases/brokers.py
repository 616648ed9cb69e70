"""Brokers that crash, hang, lose their quorum, and come back."""

from loadtests.faults.clock import now_s
from loadtests.faults.fleet import Member
from loadtests.faults.scene import SESSION_S, SHUTDOWN_S, Fault, Limits, Scene
from tests.brokers.kafka import KafkaBroker

_GONE_S = 180.0
_MIB = 1 << 20
# What a sidecar may grow by while nothing flows: a fetch's worth of records and some log lines.
_GROWTH_MIB = 60.0


def restart(scene: Scene) -> None:
    """Kill the only broker and start it again at once."""
    (broker,) = scene.site.cluster.brokers
    for _ in range(3 if scene.long else 1):
        _restart(scene, broker)


def _restart(scene: Scene, broker: KafkaBroker) -> None:
    with scene.outage():
        broker.kill()
        scene.run_for(1)
        scene.site.cluster.start()
    scene.progresses()


def gone(scene: Scene) -> None:
    """Take the only broker away for three minutes."""
    (broker,) = scene.site.cluster.brokers
    away_s = _GONE_S if scene.long else 20.0
    scene.run_for(2)
    before = _memory_mib(scene)
    with scene.outage():
        broker.kill()
        scene.run_for(away_s)
        peak = _memory_mib(scene)
        scene.expect(len(scene.fleet.alive) == scene.fault.members, "a sidecar ended")
        scene.site.cluster.start()
    scene.note("grew by, MiB", peak - before)
    scene.expect(peak - before < _GROWTH_MIB, f"grew by {peak - before:.0f} MiB")
    scene.progresses()


def _memory_mib(scene: Scene) -> float:
    scene.fleet.scrape()
    return max(scrape.get("rss_bytes") for scrape in scene.fleet.scrapes[-4:]) / _MIB


def hung(scene: Scene) -> None:
    """Stop the only broker where it is: connections stay, nothing answers."""
    (broker,) = scene.site.cluster.brokers
    with scene.outage():
        broker.freeze()
        scene.run_for(30.0 if scene.long else 12.0)
        broker.thaw()
    scene.progresses()


def sigterm_without_brokers(scene: Scene) -> None:
    """Ask a sidecar to end while no broker is there, amid its work."""
    (broker,) = scene.site.cluster.brokers
    (member,) = scene.fleet.alive
    scene.driver.burst(20_000)
    with scene.outage():
        broker.kill()
        _ends_in_time(scene, member)
        scene.site.cluster.start()
        scene.fleet.start()
    scene.progresses()


def _ends_in_time(scene: Scene, member: Member) -> None:
    at_s = now_s()
    member.ask_to_end()
    code = member.ends(SHUTDOWN_S + 3.0)
    scene.note("end, s", now_s() - at_s)
    scene.note("exit code", str(code))
    scene.expect(code in (0, 1), f"exit code {code} after {now_s() - at_s:.1f} s")


def rolling(scene: Scene) -> None:
    """Kill one broker of three after the other; each is back before the next falls."""
    for _ in range(2 if scene.long else 1):
        for broker in scene.site.cluster.brokers:
            broker.kill()
            scene.count("brokers killed")
            scene.run_for(10)
            scene.site.cluster.start()
            scene.progresses()
            scene.run_for(4)


def coordinator(scene: Scene) -> None:
    """Kill the broker that coordinates the group, and leave it away."""
    for _ in range(2 if scene.long else 1):
        admin = scene.site.cluster.admin()  # held: its answers go with it
        found = admin.describe_consumer_groups([scene.group])
        node = found[scene.group].result(10).coordinator.id
        broker = scene.site.cluster.brokers[node - 1]
        broker.kill()
        scene.count("coordinators killed")
        scene.run_for(20)
        scene.site.cluster.start()
        scene.progresses()


def below_min_isr(scene: Scene) -> None:
    """Kill two of three: nothing is acknowledged any more."""
    first, second, _ = scene.site.cluster.brokers
    before = _memory_mib(scene)
    with scene.outage():
        first.kill()
        second.kill()
        scene.run_for(_GONE_S if scene.long else 30.0)
        peak = _memory_mib(scene)
        scene.expect(len(scene.fleet.alive) == scene.fault.members, "a sidecar ended")
        scene.site.cluster.start()
    scene.note("grew by, MiB", peak - before)
    scene.expect(peak - before < _GROWTH_MIB, f"grew by {peak - before:.0f} MiB")
    scene.progresses()


FAULTS = (
    Fault(
        "broker-restart",
        "R7",
        "the only broker is killed and started again",
        "nothing lost; goes on within 20 s of the broker's return",
        restart,
        short=("exactly_once",),
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "broker-gone",
        "R10",
        "the only broker is away for 180 s",
        "no sidecar ends, memory grows by less than 60 MiB, goes on within 30 s",
        gone,
        members=2,
        limits=Limits(recovery_s=30.0, settle_s=120.0),
    ),
    Fault(
        "broker-hung",
        "R10 R11",
        "the only broker stands still for 30 s with its connections open",
        "nothing lost; goes on within 30 s of the thaw",
        hung,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "sigterm-without-brokers",
        "R6",
        "SIGTERM amid 20,000 events while the only broker is down",
        f"ends within `limits.shutdown` ({SHUTDOWN_S:g} s) + 3 s; the next one loses nothing",
        sigterm_without_brokers,
        limits=Limits(recovery_s=SESSION_S + 20.0),
    ),
    Fault(
        "rolling-kill",
        "R7",
        "one broker of three after the other is killed for 10 s",
        "nothing lost; no partition stands still for more than 20 s",
        rolling,
        site="three",
        members=2,
        limits=Limits(recovery_s=20.0, settle_s=120.0),
    ),
    Fault(
        "coordinator-killed",
        "R9",
        "the broker of three that coordinates the group is killed for 20 s",
        "nothing lost; no partition stands still for more than 20 s",
        coordinator,
        site="three",
        members=2,
        limits=Limits(recovery_s=20.0, settle_s=120.0),
    ),
    Fault(
        "below-min-isr",
        "R10",
        "two brokers of three are away for 180 s, so that nothing is acknowledged",
        "no sidecar ends, memory grows by less than 60 MiB, goes on within 30 s",
        below_min_isr,
        site="three",
        limits=Limits(recovery_s=30.0, settle_s=120.0),
    ),
)
