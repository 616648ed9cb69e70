"""Unit: pipeline.envelope, with the CloudEvents SDK as the reader."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from sidecar.config.settings import CloudEventSettings, OutputSettings
from sidecar.events import OutboundSlice
from sidecar.pipeline.encode import CONTENT_TYPE, Encoder
from sidecar.pipeline.envelope import envelope
from tests.event_samples import NOON_MS, event, events, manifest, records
from tests.unit.pipeline.test_encode import ENCODER, SPANS, WRONG, decided

CLOUD_EVENTS = OutputSettings(envelope="cloudevents")


def encoder(settings: OutputSettings = CLOUD_EVENTS) -> Encoder:
    around = envelope(settings, "credit", CONTENT_TYPE)
    return Encoder(
        manifest(), "credit.decisions", "credit.dead-letters", "1.2.3", envelope=around
    )


def read(part: OutboundSlice, row: int = 0) -> BaseCloudEvent:
    """Read a record as the SDK does, which refuses what is no CloudEvent."""
    headers = {name: text or b"" for name, text in (part.headers or [])[row]}
    message = KafkaMessage(headers, part.keys[row], part.values[row] or b"")
    return from_binary(message, JSONFormat(), CloudEvent)


def test_the_sdk_reads_a_decision_as_a_cloud_event() -> None:
    (part,) = encoder().decisions(decided(event(time=NOON_MS - 1)))

    data: Mapping[str, Any] = msgspec.json.decode(part.values[0] or b"")
    seen = read(part)
    assert seen.get_attributes() == {
        "specversion": "1.0",
        "id": data["id"],
        "source": "/sidecar/credit",
        "type": "sidecar.decision.v1",
        "time": datetime(2026, 11, 1, 11, 59, 59, 999_000, UTC),
        "causationid": "e-1",
        "datacontenttype": "application/json",
        "partitionkey": "k-0",
    }
    assert seen.get_data() == data


def test_source_and_type_are_those_of_the_config() -> None:
    said = CloudEventSettings(source="https://example.org/loans", type="org.example.decided")

    (part,) = encoder(OutputSettings(envelope="cloudevents", cloudevents=said)).decisions(
        decided(event())
    )

    assert read(part).get_source() == "https://example.org/loans"
    assert read(part).get_type() == "org.example.decided"


def test_the_envelope_changes_nothing_but_the_headers() -> None:
    batch = decided(event(), event())

    (bare,), (wrapped,) = ENCODER.decisions(batch), encoder().decisions(batch)

    assert bare.headers is None
    assert (bare.keys, bare.values, bare.rows) == (wrapped.keys, wrapped.values, wrapped.rows)
    assert encoder().decisions(batch) == [wrapped]  # the same bytes each time


def test_each_record_of_each_partition_has_its_own_headers() -> None:
    named = [event(id=f"e-{at}") for at in range(5)]
    batch = replace(decided(*named), events=events(*named, spans=SPANS))

    slices = encoder().decisions(batch)

    seen = [
        (part.partition, read(part, row).get_id(), msgspec.json.decode(value or b"")["id"])
        for part in slices
        for row, value in enumerate(part.values)
    ]
    assert [partition for partition, *_ in seen] == [0, 0, 4, 5, 5]
    assert [identity for _, identity, _ in seen] == [identity for *_, identity in seen]


@pytest.mark.parametrize("event_id", ["", "a\nb", "\x7f", "\x85"])
def test_an_event_id_that_cloud_events_cannot_hold_is_left_out(event_id: str) -> None:
    (part,) = encoder().decisions(decided(event(id=event_id), event(id="Grüße 7")))

    assert "causationid" not in read(part).get_attributes()
    assert read(part, 1).get_attributes()["causationid"] == "Grüße 7"


def test_dead_letters_get_no_envelope() -> None:
    batch = records(b"{", headers=[[("ce_id", b"theirs")]])

    assert encoder().dead_letters(batch, [WRONG]) == ENCODER.dead_letters(batch, [WRONG])
