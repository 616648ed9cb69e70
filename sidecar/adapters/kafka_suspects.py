"""Finds the record that the brokers refuse, when a refusal costs the whole transaction.

A refused batch says nothing about which of its records is at fault, and after it the producer
is of no use. So it is found over a few tries: the records of a refused batch go alone the next
time, and one that was refused alone is left out and reported.
"""

from dataclasses import replace

from sidecar.adapters.kafka_batches import Run
from sidecar.events import Refusal

# Far more than one batch holds; a record that was forgotten is only found once more.
_MOST = 100_000


class Suspects:
    """Records by their content: a batch that is read again is cut in other ways."""

    def __init__(self) -> None:
        """Suspect nobody."""
        self._alone: set[int] = set()
        self._refused: dict[int, str] = {}

    def note(self, run: Run, message: str) -> None:
        """Take note that the batch of a run was refused."""
        if len(self._alone) + len(run) > _MOST:
            self.clear()
        if len(run) == 1:
            self._refused[_digest(run, run.start)] = message
        else:
            self._alone.update(_digest(run, at) for at in range(run.start, run.stop))

    def clear(self) -> None:
        """Forget all: what they were in is committed."""
        self._alone.clear()
        self._refused.clear()

    def split(self, run: Run) -> tuple[list[Run], list[Refusal]]:
        """Cut a run so that each suspect goes alone, and leave out what was refused.

        Returns:
            The parts to send, in order, and the records that need not be sent.
        """
        if not (self._alone or self._refused):
            return [run], []
        runs: list[Run] = []
        refusals: list[Refusal] = []
        begin = run.start
        for at in range(run.start, run.stop):
            digest = _digest(run, at)
            if digest not in self._alone and digest not in self._refused:
                continue
            runs.append(replace(run, start=begin, stop=at))
            begin = at + 1
            if digest in self._refused:
                refusals.append(run.refusal(at, self._refused[digest]))
            else:
                runs.append(replace(run, start=at, stop=at + 1))
        runs.append(replace(run, start=begin))
        return [each for each in runs if len(each)], refusals


def _digest(run: Run, at: int) -> int:
    part = run.part
    headers = () if part.headers is None else tuple(map(tuple, part.headers[at]))
    return hash((part.topic, part.keys[at], part.values[at], headers))
