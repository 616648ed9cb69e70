"""Clients of other makers on a real broker: they feed the sidecar, and read what it writes.

librdkafka is there twice, as confluent-kafka and as kcat; the CloudEvents SDK writes and reads
envelopes.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_binary,
    to_binary,
    to_structured,
)
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar.clock import SystemClock
from tests.bundle_factory import EVENT
from tests.integration import kcat
from tests.integration.conftest import Launch
from tests.integration.service import Input, Output, Topics, eventually

pytestmark = pytest.mark.kafka

WRONG = b'{"id": "wrong", "features": {"amount": "much"}}'


def encoded(event_id: str, **more: Any) -> bytes:
    return json.dumps({"id": event_id, "features": EVENT, **more}).encode()


def said(record: Output) -> dict[str, Any]:
    """What a decision says but for where its event was."""
    return {name: value for name, value in record.json.items() if name != "id"}


def decided(topics: Topics, launch: Launch, **sections: Any) -> list[Output]:
    """Let a sidecar decide all that was sent; give the decisions as confluent-kafka reads."""
    sidecar = launch(topics, **sections).working()
    eventually(topics.settled, "a committed outcome of every event")
    assert sidecar.stop() == 0
    return topics.read(topics.decisions)


# --- kcat ------------------------------------------------------------------------------------


@pytest.mark.kcat
def test_events_of_kcat_are_decided(
    kafka_topics: Topics, launch: Launch, tmp_path: Path
) -> None:
    bare, data, null = (tmp_path / name for name in ("bare", "data", "null"))
    bare.write_bytes(encoded("bare"))
    data.write_bytes(json.dumps({"features": EVENT}).encode())
    null.write_bytes(b"")
    marks = {"ce_specversion": "1.0", "ce_id": "ce", "ce_source": "/kcat", "ce_type": "t"}

    kcat.write(kafka_topics, bare, partition=0, key="k-0")
    kcat.write(kafka_topics, data, partition=1, key="Grüße", headers=marks)
    kcat.write(kafka_topics, null, partition=2, key="k-2")
    kcat.write(kafka_topics, bare, partition=3)

    decisions = decided(kafka_topics, launch)
    assert [(each.partition, each.key, each.json["event_id"]) for each in decisions] == [
        (0, b"k-0", "bare"),
        (1, "Grüße".encode(), "ce"),
        (3, None, "bare"),
    ]
    assert len({each.json["score"] for each in decisions}) == 1


@pytest.mark.kcat
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_kcat_reads_decisions_and_dead_letters_as_confluent_kafka_does(
    kafka_topics: Topics, launch: Launch, compression: str
) -> None:
    began_ms = SystemClock().now_ms()
    headers = (("trace", b"t-1"), ("none", None))
    kafka_topics.send(
        [
            Input(encoded("plain"), b"k-0", partition=0),
            Input(WRONG, b"\x00\xffkey", headers, partition=0),
            Input(encoded("no key"), None, partition=1),
            Input(b"", b"", partition=1),
            *(Input(encoded(f"e{at}"), b"k", partition=2) for at in range(500)),
        ]
    )

    decisions = decided(kafka_topics, launch, kafka={"compression": compression})

    letters = kafka_topics.read(kafka_topics.letters)
    assert kcat.read(kafka_topics, kafka_topics.decisions) == decisions
    assert kcat.read(kafka_topics, kafka_topics.letters) == letters
    assert [(each.partition, each.key, each.json["event_id"]) for each in decisions] == [
        (0, b"k-0", "plain"),
        (1, None, "no key"),
        *((2, b"k", f"e{at}") for at in range(500)),
    ]
    assert {each.headers for each in decisions} == {()}
    assert [(each.key, each.value, each.headers[:-10]) for each in letters] == [
        (b"\x00\xffkey", WRONG, headers),
        (b"", b"", ()),
    ]
    assert [letter.error("code") for letter in letters] == ["wrong_type", "empty"]
    assert [letter.error("offset") for letter in letters] == ["1", "1"]
    ended_ms = SystemClock().now_ms()
    assert all(began_ms <= each.timestamp_ms <= ended_ms for each in (*decisions, *letters))


# --- confluent-kafka -------------------------------------------------------------------------


def test_events_of_confluent_kafka_are_decided_whatever_their_compression(
    kafka_topics: Topics, launch: Launch
) -> None:
    codecs = ("none", "gzip", "snappy", "lz4", "zstd")
    for codec in codecs:
        events = (encoded(f"{codec}-{at}") for at in range(200))
        kafka_topics.send([Input(each, b"k") for each in events], compression_type=codec)

    decisions = decided(kafka_topics, launch)

    wanted = [f"{codec}-{at}" for codec in codecs for at in range(200)]
    assert [each.json["event_id"] for each in decisions] == wanted
    assert {each.json["reason"] for each in decisions} == {"confident"}


# --- the CloudEvents SDK ---------------------------------------------------------------------


def sent(message: KafkaMessage, partition: int) -> Input:
    """What the SDK would send."""
    return Input(message.value, b"k", tuple(message.headers.items()), partition)


def read(record: Output) -> BaseCloudEvent:
    """Read a record as the SDK does, which refuses what is no CloudEvent."""
    headers = {name: text or b"" for name, text in record.headers}
    message = KafkaMessage(headers, record.key, record.value or b"")
    return from_binary(message, JSONFormat(), CloudEvent)


def test_events_of_the_sdk_are_decided_as_bare_ones_and_decisions_are_read_by_it(
    kafka_topics: Topics, launch: Launch
) -> None:
    time = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    cloud_event = CloudEvent(
        {
            "id": "e-1",
            "source": "/loans",
            "type": "org.example.requested.v1",
            "specversion": "1.0",
            "time": time,
            "datacontenttype": "application/json",
        },
        {"features": EVENT},
    )
    kafka_topics.send(
        [
            Input(encoded("e-1", time=time.isoformat()), b"k", partition=0),
            sent(to_binary(cloud_event, JSONFormat()), 1),
            sent(to_structured(cloud_event, JSONFormat()), 2),
        ]
    )

    said_of_it = {"source": "/desks/7", "type": "org.example.decided.v1"}
    output = {"envelope": "cloudevents", "cloudevents": said_of_it}
    decisions = decided(kafka_topics, launch, output=output)

    bare, *others = map(said, decisions)
    seen = [read(record) for record in decisions]
    assert others == [bare, bare]
    assert [each.get_data() for each in seen] == [record.json for record in decisions]
    assert [each.get_attributes() for each in seen] == [
        {
            "specversion": "1.0",
            "id": record.json["id"],
            "source": "/desks/7",
            "type": "org.example.decided.v1",
            "time": time,
            "causationid": "e-1",
            "datacontenttype": "application/json",
            "partitionkey": "k",
        }
        for record in decisions
    ]
