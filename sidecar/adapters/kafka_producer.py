"""Builds producers, and asks what the topics take that they write to."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from sidecar.adapters.kafka_batches import Packed, Run, TopicRules, pack, topic_rules
from sidecar.adapters.kafka_client import (
    bounded,
    client_arguments,
    discard_producer,
    why_unreachable,
)
from sidecar.adapters.kafka_errors import CONNECT_ERRORS, reason_of, text_of
from sidecar.config.settings import KafkaSettings
from sidecar.errors import SinkUnavailableError
from sidecar.events import Refusal

# Below the default `max.message.bytes` of a topic, 1,048,588.
BATCH_BYTES = 1_000_000
_SMALLEST_BATCH_BYTES = 16_384
# Largest record when the topic does not say: the broker's own limit of a request is 100 MiB.
RECORD_BYTES = 32 << 20
DISCARD_S = 2.0
# The client's sequence numbers turn negative after 2**31 records of one partition, and the
# broker refuses everything from there on.
RECYCLE_RECORDS = 1_500_000_000
_CONFIG_S = 5.0
# How long something may be refused, or sent in small batches, by limits that were raised since.
_LOOK_AGAIN_S = 10.0


class ProducerFactory:
    """Makes producers for a set of topics."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[str],
        client_id: str,
        environ: Mapping[str, str],
    ) -> None:
        """Say what is written; nothing is connected yet.

        Args:
            kafka: Brokers, security, time limits and compression.
            topics: Every topic that batches may name.
            client_id: Name that brokers show and log.
            environ: Where secrets are looked up.
        """
        self._kafka = kafka
        self._topics = tuple(topics)
        self._client_id = client_id
        self._environ = environ
        self._request_s = kafka.request_timeout.seconds
        self.compression = None if kafka.compression == "none" else kafka.compression
        self.rules: dict[str, TopicRules] = {}
        """What each topic takes, as the last look found it."""
        self._looked_s = -math.inf
        self._learned: dict[str, int] = {}
        """Largest batch, of topics that would not say and refused a larger one."""

    async def connect(
        self,
        *,
        look: bool = True,
        transactional_id: str | None = None,
        transaction_timeout_s: float = 60.0,
    ) -> AIOKafkaProducer:
        """Connect a new producer.

        Args:
            look: Whether to ask what the topics take.
            transactional_id: Makes it transactional: who had this id before is fenced, and
                what they left open is given up.
            transaction_timeout_s: How long the brokers leave a transaction open.

        Raises:
            SinkUnavailableError: With a reason such as `topic_missing`, `not_authorised`,
                `authentication_failed`, `tls_failed` or `broker_unreachable`.
        """
        try:
            arguments = client_arguments(self._kafka, self._client_id, self._environ)
        except (OSError, KeyError) as error:
            message = f"credentials cannot be read: {text_of(error)}"
            raise SinkUnavailableError("authentication_failed", message) from error
        producer = AIOKafkaProducer(
            **arguments,
            enable_idempotence=True,
            acks="all",
            compression_type=self.compression,
            max_batch_size=BATCH_BYTES,
            transactional_id=transactional_id,
            transaction_timeout_ms=round(transaction_timeout_s * 1000),
        )
        connected = False
        try:
            await bounded(producer.start(), self._request_s)
            if look:
                await self._look(producer)
            connected = True
        except CONNECT_ERRORS as error:
            cause = await why_unreachable(arguments)
            raise (SinkUnavailableError(*cause) if cause else unavailable(error)) from error
        finally:
            if not connected:
                await discard_producer(producer, DISCARD_S)
        return producer

    async def look_again(self, producer: AIOKafkaProducer, *, refused: bool) -> bool:
        """Tell whether topics take something else by now than what is known.

        They are asked where it matters, and not each time: when a record is refused that was
        not sent, and while batches are smaller than usual.

        Args:
            producer: Whose connection is used.
            refused: Whether a record is refused.
        """
        matters = refused or any(self.batch_limit(t) < BATCH_BYTES for t in self.rules)
        if not matters or _now_s() - self._looked_s < _LOOK_AGAIN_S:
            return False
        before = self.rules
        try:
            await self._look(producer)
        except CONNECT_ERRORS:
            return False  # whether the broker takes it, the next send will tell
        return self.rules != before

    async def _look(self, producer: AIOKafkaProducer) -> None:
        self._looked_s = _now_s()
        self.rules = await self._look_up_topics(producer)

    async def _look_up_topics(self, producer: AIOKafkaProducer) -> dict[str, TopicRules]:
        cluster = await bounded(producer.client.fetch_all_metadata(), self._request_s)
        missing = [t for t in self._topics if not cluster.partitions_for_topic(t)]
        if missing:
            names = ", ".join(f"`{topic}`" for topic in missing)
            raise SinkUnavailableError(
                "topic_missing", f"{names} not there, or may not be seen by this user"
            )
        counts = {
            topic: len(await bounded(producer.partitions_for(topic), self._request_s))
            for topic in self._topics
        }
        try:
            return await topic_rules(producer, counts, _CONFIG_S)
        except (KafkaError, TimeoutError):
            # What is known stays; what is not is learned from refusals.
            return {
                topic: replace(self.rules.get(topic, TopicRules(count)), partitions=count)
                for topic, count in counts.items()
            }

    def batch_limit(self, topic: str) -> int:
        """Largest batch that a topic takes, as far as it is known."""
        known = self.rules[topic].max_batch_bytes
        return min(BATCH_BYTES, known or self._learned.get(topic, BATCH_BYTES))

    def learn(self, run: Run, refused: BaseException) -> None:
        """Make smaller batches for a topic that refused one for its size, and may not say more.

        Args:
            run: What was refused.
            refused: Why.
        """
        if isinstance(refused, MessageSizeTooLargeError) and len(run) > 1:
            topic = run.part.topic
            smaller = max(_SMALLEST_BATCH_BYTES, self.batch_limit(topic) // 2)
            self._learned[topic] = smaller

    def pack(self, producer: AIOKafkaProducer, run: Run) -> tuple[list[Packed], list[Refusal]]:
        """Pack a run into batches of a producer, and give the records that need not be sent."""
        topic = run.part.topic
        return pack(
            run,
            partial(self.new_batch, producer, topic),
            self.record_limit(topic),
            needs_key=self.rules[topic].needs_key,
        )

    def new_batch(self, producer: AIOKafkaProducer, topic: str) -> BatchBuilder:
        """Give an empty batch for a topic; the client itself has one size for all of them."""
        producer._message_accumulator._batch_size = self.batch_limit(topic)
        batch: BatchBuilder = producer.create_batch()
        return batch

    def record_limit(self, topic: str) -> int:
        """Largest record that is worth sending to a topic.

        One that is too large as it is may be small enough when compressed.
        """
        known = None if self.compression else self.rules[topic].max_batch_bytes
        return known or RECORD_BYTES


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def unavailable(error: BaseException) -> SinkUnavailableError:
    """Say of a client's error that the sink is away, and why."""
    return SinkUnavailableError(reason_of(error), text_of(error))


def seen(future: asyncio.Future[Any]) -> None:
    """Keep asyncio from reporting an error that nobody asked this future about."""
    if not future.cancelled():
        future.exception()
