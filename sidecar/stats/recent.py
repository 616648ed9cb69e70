"""What was seen lately: a bounded memory of 64-bit hashes."""

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.int64]

# Hashes that are looked up at a time; the ring keeps so many more than are remembered, for the
# first of them still sees what the last of them no longer does.
_STEP = 4_096
_PLACES = 1 << 32


class RecentHashes:
    """Remembers the last `remember` hashes.

    A hash table in columns. Each hash gets a place, counted on without end; `_hashes` is a ring
    of them. Hashes with the same top bits are a chain: `_newest` has the place of its last one
    by these bits, and `_before`, beside the ring, the place of the one before each. Nothing is
    ever taken out: a chain ends for a hash where it goes back further than is remembered.

    Places are 32 bits that wrap. A place that is misread for one of a whole turn ago does no
    harm, because the hash that is there is compared.

    A hash takes 16 bytes and up to twice as many where `remember` is just above a power of two,
    and costs about 0.15 µs in a batch of a thousand.
    """

    def __init__(self, remember: int) -> None:
        """Remember nothing yet.

        Args:
            remember: How many, at least 1.
        """
        room = 1 << (remember + _STEP - 1).bit_length()
        self._remember = remember
        self._last = room - 1  # of the ring; a place is its index but for higher bits
        self._shift = np.uint64(64 - room.bit_length() + 1)
        self._hashes = np.zeros(room, np.int64)
        self._before = np.zeros(room, np.uint32)
        self._newest = np.zeros(room, np.uint32)
        self._next = room  # far from 0, which chains begin with

    def seen(self, hashes: Hashes) -> NDArray[np.bool_]:
        """Say of each hash whether it is remembered, and remember it.

        Args:
            hashes: In their order; one that comes twice is seen the second time.
        """
        known = np.zeros(len(hashes), np.bool_)
        for start in range(0, len(hashes), _STEP):
            step = slice(start, start + _STEP)
            self._look_up(hashes[step], self._add(hashes[step]), known[step])
        return known

    def _add(self, hashes: Hashes) -> NDArray[np.uint32]:
        """Put hashes into the ring and its chains; give the place of each."""
        places = np.arange(self._next, self._next + len(hashes)).astype(np.uint32)
        self._next = (self._next + len(hashes)) % _PLACES
        chains = (hashes.view(np.uint64) >> self._shift).view(np.int64)
        order = np.argsort(chains, kind="stable")
        chains, ordered = chains[order], places[order]
        before = self._newest[chains]
        same = np.flatnonzero(chains[1:] == chains[:-1])
        before[same + 1] = ordered[same]
        self._newest[chains] = ordered  # of equal chains the last counts
        at = places & self._last
        self._hashes[at] = hashes
        self._before[at[order]] = before
        return places

    def _look_up(
        self, hashes: Hashes, places: NDArray[np.uint32], known: NDArray[np.bool_]
    ) -> None:
        """Follow the chain of each hash back from its place, as far as it is remembered."""
        rows = np.arange(len(hashes))
        earlier = self._before[places & self._last]
        while rows.size:
            near = np.flatnonzero(places[rows] - earlier <= self._remember)
            rows, at = rows[near], earlier[near] & self._last
            equal = self._hashes[at] == hashes[rows]
            known[rows[equal]] = True
            rows, earlier = rows[~equal], self._before[at[~equal]]
