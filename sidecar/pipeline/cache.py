"""The last confident decision of each record key."""

from collections.abc import Iterator
from itertools import islice

Answer = tuple[int, float, int]
"""What was decided for a key: the label's index (-1 for a regression), the score, and the event
time in milliseconds. A plain tuple, as one is built for each decision of the model."""


class DecisionCache:
    """Answers by key, bounded in number and age.

    Two generations: the young one takes all updates; when it holds half of the entries it
    becomes the old one, and the old one is dropped. So an update costs what a dict's does, at
    most `max_entries` answers are kept, and at least the last half of that many. What is kept
    depends on the order of the updates alone, not on how they were batched.
    """

    def __init__(self, max_age_ms: int, max_entries: int) -> None:
        """Start empty.

        Args:
            max_age_ms: Oldest answer that is given, by event time.
            max_entries: Most answers that are kept.
        """
        self._max_age_ms = max_age_ms
        self._half = max(1, max_entries // 2)
        self._young: dict[bytes | None, Answer] = {}
        self._old: dict[bytes | None, Answer] = {}

    def __len__(self) -> int:
        """Count the answers, a key in both generations twice."""
        return len(self._young) + len(self._old)

    def update(self, answers: Iterator[tuple[bytes | None, Answer]], count: int) -> None:
        """Keep the next answers; of equal keys the last.

        Args:
            answers: With their keys; None is kept like another key but never found.
            count: How many of them to take.
        """
        if len(self._young) + count < self._half:
            self._young.update(islice(answers, count))
            return
        for key, answer in islice(answers, count):
            self._young[key] = answer
            if len(self._young) >= self._half:
                self._young, self._old = {}, self._young

    def get(self, key: bytes | None, event_time_ms: int) -> Answer | None:
        """Give the last answer for a key.

        Args:
            key: Key of the record; one without has no answer.
            event_time_ms: Event time of the event that wants it.

        Returns:
            The answer, or None when there is none or it is too old.
        """
        answer = self._young.get(key) or self._old.get(key)
        if key is None or answer is None:
            return None
        decided_ms = answer[2]
        return answer if event_time_ms - decided_ms <= self._max_age_ms else None

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}
