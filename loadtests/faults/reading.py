"""Reads topics to their end, read_committed, and what a group has committed."""

from contextlib import closing
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from loadtests.faults.clock import now_s, pause
from loadtests.faults.history import Headers, Record

_ANSWER_S = 15.0
_TOPIC_S = 90.0
_ROUND = 5_000


class Reader:
    """The campaign's own eyes on a cluster."""

    def __init__(self, bootstrap: str, group: str) -> None:
        """Look at the cluster of these addresses; `group` is whose offsets are asked."""
        self._config: dict[str, Any] = {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.message.max.bytes": 20_000_000,
            "isolation.level": "read_committed",
            "log_level": 0,
        }

    def _client(self, **more: Any) -> Consumer:
        return Consumer({**self._config, **more})

    def partitions(self, topic: str) -> int:
        """Give how many partitions a topic has; 0 when it is not there."""
        with closing(self._client()) as client:
            found = client.list_topics(timeout=_ANSWER_S).topics.get(topic)
            return len(found.partitions) if found else 0

    def spans(
        self, topic: str, isolation: str = "read_committed"
    ) -> dict[int, tuple[int, int]]:
        """Give the first offset that is left and the one after the last, by partition.

        Of committed records the last one is before the first transaction that is open.
        """
        with closing(self._client(**{"isolation.level": isolation})) as client:
            found = client.list_topics(timeout=_ANSWER_S).topics.get(topic)
            return {
                partition: client.get_watermark_offsets(
                    TopicPartition(topic, partition), _ANSWER_S
                )
                for partition in (found.partitions if found else ())
            }

    def ends(self, topic: str) -> dict[int, int]:
        """Give the offset that the next record gets, by partition."""
        return {partition: end for partition, (_, end) in self.spans(topic).items()}

    def has_open(self, topic: str) -> bool:
        """Whether a transaction is open in a topic that nobody else writes to meanwhile."""
        return self.spans(topic) != self.spans(topic, "read_uncommitted")

    def read(self, topic: str) -> list[Record]:
        """Read a topic from its first to its last record: by partition, each in order.

        Raises:
            TimeoutError: It cannot be read to its end, as with a transaction that hangs.
        """
        spans = {p: span for p, span in self.spans(topic).items() if span[1] > span[0]}
        found: list[Record] = []
        until = now_s() + _TOPIC_S
        # Markers of transactions are offsets without a record, so the end of a partition is
        # known by its event alone.
        with closing(self._client(**{"enable.partition.eof": True})) as client:
            client.assign([TopicPartition(topic, p, first) for p, (first, _) in spans.items()])
            open_ = set(spans)
            while open_:
                if now_s() > until:
                    raise TimeoutError(f"{topic} cannot be read to its end: {open_}")
                for message in client.consume(_ROUND, 0.2):
                    error = message.error()
                    if error is None:
                        found.append(_record(message))
                    elif error.code() == KafkaError._PARTITION_EOF:
                        open_.discard(message.partition() or 0)
        return sorted(found, key=lambda record: record.place)

    def committed(self, topic: str, timeout_s: float = _ANSWER_S) -> dict[int, int]:
        """Give what the group has committed, by partition; 0 where it has not.

        Raises:
            KafkaException: No answer within the time.
        """
        with closing(self._client()) as client:
            count = len(client.list_topics(topic, timeout=timeout_s).topics[topic].partitions)
            asked = [TopicPartition(topic, p) for p in range(count)]
            return {a.partition: max(0, a.offset) for a in client.committed(asked, timeout_s)}

    def settled(self, topic: str) -> bool:
        """Whether everything on a topic has a committed outcome; False when nobody answers."""
        try:
            return self.committed(topic) == self.ends(topic)
        except KafkaException:
            return False

    def await_settled(self, topic: str, within_s: float) -> bool:
        """Wait until everything has a committed outcome; False when time is up."""
        until = now_s() + within_s
        while not self.settled(topic):
            if now_s() > until:
                return False
            pause(0.2)
        return True


def _record(message: Message) -> Record:
    headers: Any = message.headers() or ()
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        raise ValueError("a record without a place")
    stamp = message.timestamp()[1]
    return Record(partition, offset, stamp, message.key(), message.value(), _headers(headers))


def _headers(found: Any) -> Headers:
    return tuple((name, value) for name, value in found)
