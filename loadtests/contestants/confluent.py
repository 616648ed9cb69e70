"""The tuned loop on librdkafka: batches of 500, `produce` per record, a flush per commit."""

import os
import signal
import time

from confluent_kafka import Consumer, Producer

from loadtests.contestants.scoring import Batches

BATCH_RECORDS = 500
COMMIT_S = 1.0


def main() -> None:
    """Read, answer and write until SIGTERM."""
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
    work, topic = Batches(), os.environ["BENCH_DECISIONS"]
    brokers = os.environ["BENCH_BROKERS"]
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": os.environ["BENCH_GROUP"],
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "linger.ms": 5})
    consumer.subscribe([os.environ["BENCH_EVENTS"]])
    committed = time.perf_counter()
    while not stop:
        messages = consumer.consume(BATCH_RECORDS, 0.1)
        if not messages:
            continue
        values = [message.value() or b"" for message in messages]
        ids = (f"{message.partition()}-{message.offset()}" for message in messages)
        for message, value in zip(messages, work.answer(values, ids), strict=True):
            while True:
                try:
                    producer.produce(topic, value, message.key(), message.partition() or 0)
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)
        if time.perf_counter() - committed >= COMMIT_S:
            producer.flush()
            consumer.commit(asynchronous=True)
            committed = time.perf_counter()
    producer.flush()
    consumer.close()


if __name__ == "__main__":
    main()
