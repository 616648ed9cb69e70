"""Of two processes with one name in the group, who ends, and when."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import pytest

from sidecar.errors import DuplicateMemberError
from sidecar.runtime.assignment import Assignment
from sidecar.runtime.watch import Watch
from tests.virtual_time import LoopClock, run_virtually

_LONG_S = 2_000.0


class Still:
    """Everything beside the group: nothing is to be told of it."""

    partitions: frozenset[int] = frozenset()
    paused: frozenset[int] = frozenset()

    def __getattr__(self, _name: str) -> Any:
        return lambda *_args, **_kwargs: False

    async def lag(self) -> dict[int, Any]:
        return {}


@dataclass
class Group(Still):
    """A group that gives us the same share again and again, or not."""

    churning: bool = True


@dataclass
class Keeper:
    """What is known from the state topic."""

    older_rival: bool = False

    def has_older_rival(self, _within_s: float) -> bool:
        return self.older_rival


def ended_after(
    lived_s: float, *, keeper: Keeper, name: str = "replica-1", peace_s: float = 1e9
) -> float | None:
    """Give the seconds from the first churn to the end; None when it goes on.

    Args:
        lived_s: How long it runs before.
        keeper: What it knows of the other.
        name: Its name within the group.
        peace_s: After how many seconds the churn is over.
    """

    async def live() -> float | None:
        still, group = Still(), Group(churning=False)
        watch = Watch(
            source=cast("Any", still),
            tracker=cast("Any", still),
            flow=cast("Any", still),
            recovery=cast("Any", still),
            assignment=cast("Any", group),
            keeper=cast("Any", keeper),
            instance_id=name,
            clock=LoopClock(),
            metrics=cast("Any", still),
        )
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        loop.call_later(lived_s, setattr, group, "churning", True)
        loop.call_later(lived_s + peace_s, setattr, group, "churning", False)
        with suppress(TimeoutError):
            try:
                async with asyncio.timeout(lived_s + _LONG_S):
                    await watch.run()
            except DuplicateMemberError:
                return loop.time() - began_s - lived_s
        return None

    return run_virtually(live())


def test_who_sees_that_an_older_one_stores_ends_at_once() -> None:
    assert ended_after(100.0, keeper=Keeper(older_rival=True)) == pytest.approx(2.0, abs=2.0)


@pytest.mark.parametrize("lived_s", [3.0, 100.0, 900.0])
def test_when_nobody_stores_each_waits_for_twice_as_long_as_it_has_lived(
    lived_s: float,
) -> None:
    waited_s = ended_after(lived_s, keeper=Keeper())

    assert waited_s == pytest.approx(30.0 + 2 * lived_s, abs=6.0)


def test_who_has_no_name_or_is_left_in_peace_goes_on() -> None:
    assert ended_after(3.0, keeper=Keeper(), name="") is None
    assert ended_after(100.0, keeper=Keeper(), peace_s=60.0) is None


class Loose(Still):
    atomic = False


def test_a_group_that_gave_no_share_for_a_while_is_at_rest() -> None:
    async def live() -> tuple[bool, bool]:
        still = cast("Any", Still())
        assignment = Assignment(
            source=still,
            tracker=still,
            flow=still,
            committer=still,
            ledger=cast("Any", Loose()),
            keeper=None,
            observers=still,
            stages=still,
            clock=LoopClock(),
            metrics=still,
            health=still,
            jitter=random.Random(1),
            revoke_s=1.0,
            stuck=lambda _: 0,
        )
        for _ in range(5):
            await asyncio.sleep(1)
            await assignment.assigned([0, 1])
        amid = assignment.churning
        await asyncio.sleep(7)
        return amid, assignment.churning

    assert run_virtually(live()) == (True, False)
