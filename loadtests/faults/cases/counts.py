"""Counts that come back from the state topic: slowly, amid kills, damaged, of other windows."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from loadtests.faults.cases.groups import leave_all
from loadtests.faults.clock import now_s
from loadtests.faults.fleet import Member
from loadtests.faults.history import Record
from loadtests.faults.scene import PARTITIONS, SESSION_S, Fault, Limits, Scene

# A topic that was not compacted for long, behind a network that gives each connection so much.
_BYTES_PER_S = 200_000.0
_BULK_BYTES = 10_000
_KILL_WITHIN_S = 8.0
_PANE_S = 30
_MONITOR = "drift"
"""Whose counts are judged; the others are stored and restored by the same means."""


def _slow_down(scene: Scene, restore_s: float) -> None:
    """Make reading the state topic take so long, for whoever starts from here on."""
    count = int(restore_s * _BYTES_PER_S / _BULK_BYTES)
    # Keys that are nobody's, without a value: there is nothing in them but their length.
    bulk = (b"%d-" % at + b"x" * _BULK_BYTES for at in range(count))
    scene.write(scene.state, (Record(0, -1, 0, key, None, ()) for key in bulk))
    for proxy in scene.site.proxies:
        proxy.weather.bytes_per_s = _BYTES_PER_S


def _is_restoring(member: Member) -> bool:
    return "restoring" in member.why_unready()


def kill_while_restoring(scene: Scene) -> None:
    """Kill one sidecar after the other while it restores, and let the last one finish."""
    kills = 10 if scene.long else 3
    scene.run_for(2)
    with scene.outage():
        scene.fleet.alive[0].kill()
        _slow_down(scene, restore_s=SESSION_S + _KILL_WITHIN_S + 20.0)
        for _ in range(kills):
            member = scene.fleet.start()
            scene.run_for(scene.rng.uniform(0.0, _KILL_WITHIN_S))
            scene.expect(_is_restoring(member), "nothing was being restored")
            member.kill()
            scene.count("kill -9")
        for proxy in scene.site.proxies:
            proxy.clear()
        scene.fleet.start()
    scene.progresses()


def slow_restore(scene: Scene) -> None:
    """Let a restore take many times the session time-out."""
    scene.run_for(2)
    leave_all(scene)
    with scene.outage():
        _slow_down(scene, restore_s=(10 if scene.long else 3) * SESSION_S)
        at_s = now_s()
        member = scene.fleet.start()
        scene.expect(_is_restoring(member), "nothing was being restored")
        scene.until(lambda: not _is_restoring(member), "restored", 30 * SESSION_S)
        scene.note("restored after, s", now_s() - at_s)
        for proxy in scene.site.proxies:
            proxy.clear()
    scene.progresses()
    turns = len(member.said("partitions_assigned"))
    scene.expect(turns == 1, f"partitions were assigned {turns} times")


# --- what cannot be used ---------------------------------------------------------------------


def damaged_state(scene: Scene) -> None:
    """Damage one record of each partition of the state topic, while nobody runs."""
    scene.run_for(3)
    leave_all(scene)
    counts = re.compile(rb"%b/\d+(/-?\d+)?" % _MONITOR.encode())
    newest = {
        record.key: record
        for record in scene.reader.read(scene.state)
        if counts.fullmatch(record.key or b"")
    }
    damaged = []
    for partition in range(PARTITIONS):
        whole = [r for r in newest.values() if r.partition == partition and r.value]
        record = scene.rng.choice(whole)
        ways = _WAYS if b"counts" in (record.value or b"") else _WAYS[:2]
        value = scene.rng.choice(ways)(scene, record.value or b"")
        damaged.append(record._replace(value=value))
    scene.write(scene.state, damaged)
    _begins_anew(scene, "damaged")


def _cut_short(scene: Scene, value: bytes) -> bytes:
    return value[: scene.rng.randrange(1, len(value) - 1)]


def _noise(scene: Scene, value: bytes) -> bytes:
    # No MessagePack begins with this byte.
    return b"\xc1" + scene.rng.randbytes(len(value))


def _wrong_counts(scene: Scene, value: bytes) -> bytes:
    """Flip a bit of the counts alone, which have a checksum."""
    pane: dict[str, Any] = msgspec.msgpack.decode(value)
    counts = bytearray(pane["counts"])
    counts[scene.rng.randrange(2, len(counts))] ^= 1 << scene.rng.randrange(8)
    return msgspec.msgpack.encode({**pane, "counts": bytes(counts)})


_WAYS: tuple[Callable[[Scene, bytes], bytes], ...] = (_cut_short, _noise, _wrong_counts)


def other_panes(scene: Scene) -> None:
    """Start again with panes of another length: stored counts mean something else then."""
    scene.run_for(3)
    leave_all(scene)
    scene.fleet.config["monitors"] = {"pane": f"{_PANE_S}s"}
    _begins_anew(scene, "config", _PANE_S * 1_000)


def _begins_anew(scene: Scene, why: str, pane_ms: int = 60_000) -> None:
    """Start one that counts anew, and see that it says so of each partition."""
    scene.count_anew(pane_ms)
    with scene.outage():
        member = scene.fleet.start()
    scene.progresses()
    told = [
        line["partition"]
        for line in member.said("state_reset")
        if (line["monitor"], line["reason"]) == (_MONITOR, why)
    ]
    scene.note("partitions told", len(told))
    scene.expect(sorted(told) == list(range(PARTITIONS)), f"`state_reset` told of {told}")


FAULTS = (
    Fault(
        "kill-while-restoring",
        "R2 R16",
        "`kill -9` of one sidecar after the other within 8 s of its assignment, amid a restore",
        "nothing lost, every event in the windows once when one is left alone",
        kill_while_restoring,
        proxied=True,
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "slow-restore",
        "R16",
        "reading the state topic takes ten times the session time-out",
        "not ready meanwhile with the reason `restoring`; not put out of the group",
        slow_restore,
        proxied=True,
        limits=Limits(recovery_s=20.0),
    ),
    Fault(
        "damaged-state",
        "R26",
        "one state record of each partition is cut short, noise, or has other counts",
        "says `state_reset` for each partition, counts anew from there, nothing lost",
        damaged_state,
        short=("at_least_once",),
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "other-panes",
        "R27",
        "a restart with another `monitors.pane`",
        "says `state_reset` for each partition, counts anew from there, nothing lost",
        other_panes,
        limits=Limits(recovery_s=30.0),
    ),
)
