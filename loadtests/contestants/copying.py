"""The floor: every value goes out as it came in."""

from collections.abc import Iterable, Sequence
from typing import Any

from loadtests.contestants.loop import run


async def copy(records: Sequence[Any]) -> Iterable[bytes]:
    """Give the values unchanged."""
    return [record.value for record in records]


if __name__ == "__main__":
    run(copy)
