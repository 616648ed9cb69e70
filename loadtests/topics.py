"""The broker's side of a run, through a client library that no contestant uses."""

import time
from collections.abc import Iterable, Sequence

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

PARTITIONS = 4
_ANSWER_S = 30.0
_AGAIN_S = 0.5


class Topics:
    """Makes topics, fills them, and counts what brokers acknowledged."""

    def __init__(self, brokers: str, partitions: int = PARTITIONS) -> None:
        """Connect when first used.

        Args:
            brokers: `host:port` of one.
            partitions: Of every topic.
        """
        self._partitions = partitions
        self._client: dict[str, str | int | float | bool] = {
            "bootstrap.servers": brokers,
            "log_level": 0,
        }
        self._admin = AdminClient(self._client)
        self._reader = Consumer({**self._client, "group.id": "loadtests"})

    def create(self, names: Sequence[str], *, cleanup: str = "delete") -> None:
        """Make topics with this `cleanup.policy`."""
        config = {"cleanup.policy": cleanup}
        topics = [NewTopic(name, self._partitions, 1, config=config) for name in names]
        for done in self._admin.create_topics(topics).values():
            done.result(_ANSWER_S)

    def delete(self, names: Sequence[str]) -> None:
        """Remove topics."""
        for done in self._admin.delete_topics(list(names)).values():
            done.result(_ANSWER_S)

    def fill(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
        """Write records, spread over the partitions in turn, and give their number."""
        producer = Producer(
            {
                **self._client,
                "acks": "all",
                "linger.ms": 50,
                "batch.size": 500_000,
                "queue.buffering.max.messages": 200_000,
            }
        )
        count = 0
        for count, (key, value) in enumerate(records, 1):
            while True:
                try:
                    producer.produce(topic, value, key, partition=count % self._partitions)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60.0):
            raise TimeoutError("the broker did not take all records within a minute")
        return count

    def written(self, topics: Iterable[str]) -> int:
        """Count the records of some new topics, by their end offsets."""
        return sum(
            self._end(TopicPartition(topic, partition))
            for topic in topics
            for partition in range(self._partitions)
        )

    def _end(self, partition: TopicPartition) -> int:
        """Give the end offset; a topic made a moment ago has no leader yet, so ask again."""
        for last_try in (False, False, False, True):
            try:
                return int(self._reader.get_watermark_offsets(partition, _ANSWER_S)[1])
            except KafkaException:
                if last_try:
                    raise
                time.sleep(_AGAIN_S)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()
