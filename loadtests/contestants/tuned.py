"""The yardstick: the fastest loop around the same model that we know how to write in Python.

It has no fallback, no dead letters, no drift and no metrics; an event that it cannot decode
ends it. Each trick is there because it was measured to pay: Structs that the garbage collector
does not track, one array from all features at once, one model call per round.
"""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from loadtests.contestants.loop import run
from loadtests.contestants.scoring import Batches


class Tuned:
    """Decode, columns, model, encode; the model in a thread, so that the loop goes on."""

    def __init__(self) -> None:
        """Load the model."""
        self._work = Batches()
        self._thread = ThreadPoolExecutor(1)

    async def work(self, records: Sequence[Any]) -> Iterable[bytes]:
        """Give a decision for each record."""
        decode = self._work.decode
        events = [decode(record.value) for record in records]
        loop = asyncio.get_running_loop()
        matrix = self._work.matrix(events)
        probabilities = await loop.run_in_executor(self._thread, self._work.score, matrix)
        ids = [f"{record.partition}-{record.offset}" for record in records]
        return self._work.encode(ids, events, probabilities)


if __name__ == "__main__":
    run(Tuned().work)
