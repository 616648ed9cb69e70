"""Bytewax: `each` maps a message at a time, `batch` takes what one poll of a partition gave.

It joins no group and commits nothing; with recovery off it begins at the oldest record.
"""

import os
import sys
from collections.abc import Iterable

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from loadtests.contestants.scoring import Batches, Singles

BATCH_RECORDS = 500


def flow(form: str) -> Dataflow:
    """Build the flow of one form."""
    brokers = [os.environ["BENCH_BROKERS"]]
    made = Dataflow("bench")
    read = kop.input(
        "in",
        made,
        brokers=brokers,
        topics=[os.environ["BENCH_EVENTS"]],
        batch_size=BATCH_RECORDS,
    )
    if form == "each":
        answered = op.map("decide", read.oks, _each(Singles()))
    else:
        answered = op.flat_map_batch("decide", read.oks, _many(Batches()))
    kop.output(
        "out",
        answered,
        brokers=brokers,
        topic=os.environ["BENCH_DECISIONS"],
        add_config={"acks": "all", "linger.ms": "5"},
    )
    return made


def _each(work: Singles):  # type: ignore[no-untyped-def]
    def decide(message: KafkaSourceMessage) -> KafkaSinkMessage:
        return KafkaSinkMessage(message.key, work.answer_bytes(message.value))

    return decide


def _many(work: Batches):  # type: ignore[no-untyped-def]
    def decide(messages: list[KafkaSourceMessage]) -> Iterable[KafkaSinkMessage]:
        values = [message.value for message in messages]
        ids = (f"{message.partition}-{message.offset}" for message in messages)
        for message, value in zip(messages, work.answer(values, ids), strict=True):
            yield KafkaSinkMessage(message.key, value)

    return decide


if __name__ == "__main__":
    cluster_main(flow(sys.argv[1]), [], 0)
