"""Bounded backoff with jitter."""

import random
from collections.abc import Iterator


def backoff(
    random_source: random.Random, *, first_s: float = 0.1, top_s: float = 5.0
) -> Iterator[float]:
    """Give seconds to wait before each further try: doubling, up to a top, with jitter.

    Half of each wait is random, so that a fleet that lost a broker at one moment does not come
    back at one moment.

    Args:
        random_source: Where the jitter comes from.
        first_s: Longest first wait.
        top_s: Longest wait at all.
    """
    ceiling = first_s
    while True:
        yield ceiling * (0.5 + 0.5 * random_source.random())
        ceiling = min(top_s, ceiling * 2)
