"""Runs one fault from its topics to its verdict."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from loadtests.faults import books, state
from loadtests.faults.clock import now_ms, now_s
from loadtests.faults.fleet import CannotRunError
from loadtests.faults.history import Ack, History, Sent
from loadtests.faults.judge import CLASSES, Verdict, judge, longest_pause
from loadtests.faults.scene import SHUTDOWN_S, Fault, Mode, Scene
from loadtests.faults.site import Site

_LINES = 5
# Ends that are asked for beyond `limits.shutdown`: of the interpreter, on a busy machine.
_END_S = SHUTDOWN_S + 5.0
_HELD_IN_EITHER_MODE = tuple(name for name in CLASSES if name != "duplicate")


class Result(msgspec.Struct, frozen=True):
    """What one run of one fault gave."""

    fault: str
    risks: str
    mode: str
    seed: int
    passed: bool
    failures: list[str]
    """What does not hold; at most a few examples of each class."""
    found: dict[str, int]
    """How often each class of fault was found by the judge."""
    sent: int
    acknowledged: int
    events: int
    decided: int
    refused: int
    tombstones: int
    samples: int
    pause_s: float
    """Longest time without a commit in a partition."""
    recovery_s: float
    """The same without the time for which the fault itself lasted."""
    took_s: float
    load: float
    """Of the machine in the last minute: processes that run or want to."""
    figures: dict[str, float | str]


def run(
    fault: Fault, site: Site, *, seed: int, mode: Mode, long: bool, folder: Path, bundle: Path
) -> Result:
    """Run a fault and judge it.

    Args:
        fault: What is done.
        site: Where; it is healed afterwards.
        seed: Of all that is drawn.
        mode: `delivery.mode` of the sidecars.
        long: Whether it runs as long as in the long campaign.
        folder: Where configs and logs go.
        bundle: What the sidecars serve.

    Raises:
        CannotRunError: The sidecars refuse the config, for example the mode.
    """
    began_s = now_s()
    scene = Scene(fault, site, seed=seed, mode=mode, long=long, folder=folder, bundle=bundle)
    with scene.watch, scene.fleet:
        begin_ms, end_ms, complete = _perform(scene)
        shown = scene.in_windows() if fault.state_kept else {}
        sent = scene.driver.finish()
        _end(scene)
    history = scene.history(sent)
    verdict = judge(history, partitions_kept=fault.partitions_kept, stubs_allowed=fault.stubs)
    pause_s = longest_pause(history.samples, begin_ms, end_ms)
    _hold(scene, history, verdict, pause_s, complete=complete)
    if fault.state_kept:
        _hold_counts(scene, history, shown)
    return _result(scene, seed, history, verdict, pause_s, now_s() - began_s)


def _perform(scene: Scene) -> tuple[int, int, bool]:
    """Give when the load began and when all was settled, and whether all still run then."""
    for _ in range(scene.fault.members):
        scene.fleet.start()
    begin_ms = now_ms()
    scene.driver.start()
    try:
        scene.run_for(1.0)
        scene.fault.act(scene)
        scene.driver.start()
        scene.run_for(1.0)
    except CannotRunError:
        raise
    except Exception as error:  # noqa: BLE001 - a fault that breaks is a run that failed
        scene.failures.append(f"the run broke: {type(error).__name__}: {error}")
    finally:
        scene.site.heal()
    scene.settled()
    end_ms = now_ms()
    scene.fleet.scrape()
    members = scene.fleet.members
    return begin_ms, end_ms, all(member.code is None for member in members)


def _end(scene: Scene) -> None:
    """Ask all sidecars to end."""
    allowed = scene.fault.limits.codes
    codes = scene.fleet.stop(_END_S)
    scene.expect(all(code in allowed for code in codes), f"exit codes {codes}")


def _hold(
    scene: Scene, history: History, verdict: Verdict, pause_s: float, *, complete: bool
) -> None:
    """Note everything that does not hold."""
    fault = scene.fault
    for name in _HELD_IN_EITHER_MODE:
        if found := verdict.found[name]:
            scene.failures.append(f"{name} {len(found)}: {', '.join(found[:_LINES])}")
    once = scene.mode == "exactly_once" and not fault.repeats
    allowed = 0 if once else fault.limits.duplicates
    repeated = verdict.count("duplicate")
    scene.expect(allowed is None or repeated <= allowed, f"{repeated} duplicates")
    recovery_s = pause_s - scene.outage_s
    limit_s = fault.limits.recovery_s
    scene.expect(recovery_s <= limit_s, f"recovered after {recovery_s:.1f} s, not {limit_s:g}")
    fleet = scene.fleet
    _some(scene, "books", books.unbalanced(fleet.scrapes))
    told = books.disagreements(
        fleet.last.values(), history.decisions, history.letters, complete=complete
    )
    _some(scene, "metrics", told)
    shown = sum(member.tracebacks() for member in fleet.members)
    scene.expect(shown <= fault.limits.complaints, f"{shown} tracebacks in the logs")


def _hold_counts(scene: Scene, history: History, shown: Mapping[str, float]) -> None:
    """Note what is not counted once, on the state topic or in the windows of a sidecar."""
    stored = scene.reader.read(scene.state)
    scene.note("state records", len(stored))
    once = scene.mode == "exactly_once"
    _some(scene, "state", state.check(stored, history, once=once, anew=scene.anew))
    due = len(state.counted(history, scene.anew))
    _some(scene, "windows", books.miscounted(shown, due))


def _some(scene: Scene, what: str, found: Iterable[str]) -> None:
    lines = list(found)
    if lines:
        scene.failures.append(f"{what} {len(lines)}: {', '.join(lines[:_LINES])}")


def _result(
    scene: Scene, seed: int, history: History, verdict: Verdict, pause_s: float, took_s: float
) -> Result:
    return Result(
        fault=scene.fault.name,
        risks=scene.fault.risks,
        mode=scene.mode,
        seed=seed,
        passed=not scene.failures,
        failures=scene.failures,
        found={name: verdict.count(name) for name in CLASSES},
        sent=len(history.sent),
        acknowledged=_acknowledged(history.sent),
        events=verdict.events,
        decided=verdict.decided,
        refused=verdict.refused,
        tombstones=verdict.tombstones,
        samples=len(history.samples),
        pause_s=round(pause_s, 1),
        recovery_s=round(max(0.0, pause_s - scene.outage_s), 1),
        took_s=round(took_s, 1),
        load=round(os.getloadavg()[0], 1),
        figures=scene.figures,
    )


def _acknowledged(sent: Iterable[Sent]) -> int:
    return sum(record.ack is Ack.ACKNOWLEDGED for record in sent)
