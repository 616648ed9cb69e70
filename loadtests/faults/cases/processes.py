"""Sidecars that crash, freeze, end and come back."""

from loadtests.faults.clock import now_s
from loadtests.faults.fleet import Member
from loadtests.faults.scene import SESSION_S, SHUTDOWN_S, Fault, Limits, Scene

_KILLS = 200
"""Of the long campaign, per delivery mode."""


def calm(scene: Scene) -> None:
    """Nothing goes wrong: a little poison, a burst, and every counter must be exact."""
    scene.driver.poison_share = 0.02
    scene.run_for(3)
    scene.driver.burst(200_000 if scene.long else 20_000)
    scene.run_for(3)


def kill(scene: Scene) -> None:
    """Kill one of two, start another at once, wait until all partitions move again."""
    for _ in range(8 if scene.long else 2):
        scene.run_for(scene.rng.uniform(1.0, 4.0))
        _crash(scene, scene.rng.choice(scene.fleet.alive))
        scene.run_for(SESSION_S)
        scene.progresses()


def random_kills(scene: Scene) -> None:
    """Kill at any moment, also amid a rebalance, a start or a restore."""
    for _ in range(_KILLS if scene.long else 6):
        scene.run_for(scene.rng.uniform(0.2, 8.0))
        _crash(scene, scene.rng.choice(scene.fleet.alive))
    scene.run_for(2 * SESSION_S)


def _crash(scene: Scene, member: Member) -> None:
    member.kill()
    scene.count("kill -9")
    scene.fleet.start(wait=False)


def early_kills(scene: Scene) -> None:
    """Kill a sidecar that has only just started: loading, joining, restoring."""
    for _ in range(10 if scene.long else 3):
        member = scene.fleet.start(wait=False)
        scene.run_for(scene.rng.uniform(0.3, 4.0))
        member.kill()
        scene.count("kill -9")
    scene.progresses()


def freeze(scene: Scene) -> None:
    """Stop one of two for 8 s, so that the group gives its partitions away, and thaw it."""
    for _ in range(5 if scene.long else 1):
        zombie = scene.rng.choice(scene.fleet.alive)
        zombie.freeze()
        scene.count("freezes")
        scene.run_for(8.0)
        zombie.thaw()
        # It may end by itself: one that lost its partitions may be told so as fatal.
        scene.run_for(4.0)
        while len(scene.fleet.alive) < scene.fault.members:
            scene.fleet.start()
        scene.progresses()


def freeze_alone(scene: Scene) -> None:
    """Stop the only sidecar for twice the session time-out, as a blocked event loop would."""
    frozen_s = 2 * SESSION_S
    (member,) = scene.fleet.alive
    with scene.outage():
        member.freeze()
        scene.run_for(frozen_s)
        member.thaw()
    scene.progresses()
    scene.fleet.scrape()
    lag_s = max(scrape.get("loop_lag_s") for scrape in scene.fleet.scrapes)
    scene.note("event loop lag told, s", lag_s)
    scene.expect(lag_s > frozen_s - 1.0, f"a loop lag of {lag_s:.1f} s was told")


def sigterm(scene: Scene) -> None:
    """End one in order under load, and start the next."""
    for _ in range(5 if scene.long else 2):
        scene.driver.burst(20_000)
        (member,) = scene.fleet.alive
        at_s = now_s()
        member.ask_to_end()
        code = member.ends(SHUTDOWN_S + 1.0)
        took_s = now_s() - at_s
        slowest_s = max(took_s, float(scene.figures.get("slowest end, s", 0)))
        scene.note("slowest end, s", slowest_s)
        scene.expect(code == 0, f"exit code {code} after {took_s:.1f} s")
        scene.fleet.start()
        scene.progresses()


def scaling(scene: Scene) -> None:
    """Two members become four and two again, with a backlog to work off."""
    scene.driver.burst(200_000 if scene.long else 40_000)
    first = [scene.fleet.start(), scene.fleet.start()]
    scene.run_for(5)
    for member in first:
        member.ask_to_end()
        code = member.ends(SHUTDOWN_S + 1.0)
        scene.expect(code == 0, f"exit code {code}")
        scene.run_for(1)
    scene.progresses()


FAULTS = (
    Fault(
        "calm",
        "R1 R32",
        "no fault; 2 % poison and a burst",
        "no duplicate, every counter at `/metrics` equal to what stands on the topics",
        calm,
        short=("at_least_once",),
        limits=Limits(recovery_s=5.0, duplicates=0),
    ),
    Fault(
        "scaling",
        "R1",
        "2 sidecars become 4 and 2 again, over a backlog",
        "nothing lost; no duplicate, because a member that leaves finishes first",
        scaling,
        members=2,
        short=("at_least_once",),
        limits=Limits(recovery_s=16.0),
    ),
    Fault(
        "kill",
        "R2",
        "`kill -9` of one of two sidecars, another starts",
        "nothing lost; all partitions move again within session time-out + 10 s",
        kill,
        members=2,
        short=("at_least_once", "exactly_once"),
    ),
    Fault(
        "random-kills",
        "R2 R16",
        "`kill -9` of one of two every 0.2 to 8 s, amid rebalances and starts",
        "nothing lost, nothing out of order, no offset goes back; goes on in between",
        random_kills,
        members=2,
        # Kills that come faster than the session time-out keep the group from agreeing at all.
        limits=Limits(recovery_s=120.0),
    ),
    Fault(
        "early-kills",
        "R2 R16",
        "`kill -9` of a sidecar in its first 4 s, again and again, beside one that works",
        "nothing lost; the other one keeps working",
        early_kills,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "freeze",
        "R3",
        "one of two sidecars stands still for 8 s (session time-out 6 s)",
        "nothing lost, no offset goes back when it thaws; it rejoins, or ends and is started",
        freeze,
        members=2,
        short=("exactly_once",),
        limits=Limits(codes=(0, 1)),
    ),
    Fault(
        "freeze-alone",
        "R4",
        "the only sidecar stands still for 12 s",
        "nothing lost; it goes on within 16 s and tells the lag of its event loop",
        freeze_alone,
    ),
    Fault(
        "sigterm",
        "R5",
        "SIGTERM under load, then a start",
        "exit code 0 within `limits.shutdown`; no duplicate, no traceback",
        sigterm,
        short=("at_least_once",),
        limits=Limits(duplicates=0),
    ),
)
