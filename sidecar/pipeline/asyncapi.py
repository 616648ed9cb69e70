"""AsyncAPI 3 of the topics: what is read and written, from the same Structs as the schemas.

`schemas/asyncapi.yaml` speaks for a sidecar called `{name}`, with the topics that it has by
default. A further kind of record is one entry of `_MESSAGES`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import yaml
from msgspec import UNSET, Meta, Struct, UnsetType

from sidecar import __version__
from sidecar.config.settings import CloudEventSettings
from sidecar.events import Decision, Signal
from sidecar.pipeline.encode import CONTENT_TYPE
from sidecar.pipeline.schemas import (
    DeadLetterHeaders,
    EventData,
    PredictionEvent,
    Schema,
    components_of,
)

_ASYNCAPI = "3.1.0"
_BINDING = {"bindingVersion": "0.5.0"}
_SCHEMAS = "#/components/schemas/{name}"

_Text = Annotated[str, Meta(min_length=1)]
_Instant = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
_Base64 = Annotated[str, Meta(extra_json_schema={"contentEncoding": "base64"})]


class CloudEventHeaders(Struct, rename={"content_type": "content-type"}):
    """Attributes of a CloudEvent in binary mode: headers of the record, as UTF-8 text."""

    ce_specversion: Literal["1.0"]
    """Version of CloudEvents."""
    ce_id: _Text
    """Unique together with the source."""
    ce_source: _Text
    """Who says so, as a URI reference."""
    ce_type: _Text
    """What kind of thing happened."""
    ce_time: _Instant | UnsetType = UNSET
    """When it happened, RFC 3339."""
    ce_causationid: _Text | UnsetType = UNSET
    """On a decision: id of the event that it answers."""
    content_type: _Text | UnsetType = UNSET
    """How the value is written."""


class StructuredCloudEvent(Struct):
    """A CloudEvent in structured mode: attributes and data in one value."""

    specversion: Literal["1.0"]
    """Version of CloudEvents."""
    id: _Text
    """What the producer calls the event; comes back as `event_id` of its decision."""
    source: _Text
    """Who says so, as a URI reference."""
    type: _Text
    """What kind of thing happened."""
    time: _Instant | None = None
    """When it happened, RFC 3339; the time of the data, or of the record, when absent."""
    datacontenttype: str | None = None
    """How the data is written; JSON when absent."""
    data: EventData | UnsetType = UNSET
    """The event."""
    data_base64: _Base64 | UnsetType = UNSET
    """The event, where its bytes are not JSON text."""


_KEY = {
    "type": ["string", "null"],
    "description": "Bytes of any kind, or none: the event's, which its decision and its dead "
    "letter have too. Decides the partition and with it the order.",
}
_MODEL_KEY = {"type": "string", "description": "Name of the model."}


@dataclass(frozen=True, slots=True)
class _Channel:
    """A topic, and what the sidecar does with it."""

    address: str
    title: str
    action: Literal["receive", "send"]
    operation: str
    summary: str


@dataclass(frozen=True, slots=True)
class _Message:
    """A kind of record of a topic."""

    channel: str
    title: str
    summary: str
    content_type: str
    payload: type[Struct] | None
    """None where the value is bytes of any kind."""
    headers: type[Struct] | None = None
    traits: tuple[str, ...] = ()
    key: Mapping[str, Any] = field(default_factory=lambda: _KEY)
    examples: Sequence[Mapping[str, Any]] = field(default=())


_CHANNELS: Mapping[str, _Channel] = {
    "events": _Channel(
        address="{name}.events",
        title="Events",
        action="receive",
        operation="receiveEvents",
        summary="Reads events. A null value is a tombstone: counted, and nothing comes of it.",
    ),
    "decisions": _Channel(
        address="{name}.decisions",
        title="Decisions",
        action="send",
        operation="sendDecisions",
        summary="Writes one decision per event, with the key and in the order of the events.",
    ),
    "deadLetters": _Channel(
        address="{name}.dead-letters",
        title="Dead letters",
        action="send",
        operation="sendDeadLetters",
        summary="Writes each record that is refused, as it came, with headers that say why.",
    ),
    "signals": _Channel(
        address="{name}.signals",
        title="Signals",
        action="send",
        operation="sendSignals",
        summary="Writes what the monitors find, all of a model in one partition, in order. One "
        "that comes twice has the same id.",
    ),
}

_EVENT_DATA = {"features": {"amount": 1250.0, "country": "DE"}}
_EVENT = {"id": "a-17", "time": "2026-03-01T09:30:00Z", **_EVENT_DATA}
_CE_HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "a-17",
    "ce_source": "/loans",
    "ce_type": "org.example.loan.requested.v1",
    "ce_time": "2026-03-01T09:30:00Z",
    "content-type": "application/json",
}
_DECISION = {
    "id": "5f0c2e8b9a3d4e17-3-90210",
    "event_id": "a-17",
    "event_time": "2026-03-01T09:30:00.000Z",
    "model": "credit",
    "version": "7",
    "source": "rule",
    "reason": "low_confidence",
    "label": "review",
    "score": 0.512204,
    "confidence": 0.512204,
    "rule": "large-amount",
}

_SIGNAL = {
    "id": "0f6b1a3c9d2e47588f21c0d7b3a4e596",
    "kind": "drift_began",
    "event_time": "2026-03-01T09:35:00.000Z",
    "name": "credit",
    "model": "credit",
    "version": "7",
    "subject": "feature",
    "window": "1h",
    "severity": "critical",
    "since": "2026-03-01T09:30:00.000Z",
    "evidence": {
        "window_start": "2026-03-01T08:35:00.000Z",
        "window_end": "2026-03-01T09:35:00.000Z",
        "records": 7_200,
        "psi": 0.2614,
        "psi_excess": 0.258,
        "critical_value": 0.00621,
        "p_value": 2.1e-09,
        "bins": [
            {"name": ">= 4500", "reference": 0.1, "current": 0.271},
            {"name": "< 120", "reference": 0.1, "current": 0.042},
        ],
    },
    "feature": "amount",
}

_DECISION_HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": _DECISION["id"],
    "ce_source": "/sidecar/credit",
    "ce_type": CloudEventSettings().type,
    "ce_time": _DECISION["event_time"],
    "ce_causationid": _DECISION["event_id"],
    "content-type": CONTENT_TYPE,
}

_MESSAGES: Mapping[str, _Message] = {
    "event": _Message(
        channel="events",
        title="Event in JSON",
        summary="A bare event; the usual form.",
        content_type="application/json",
        payload=PredictionEvent,
        examples=({"name": "loan", "payload": _EVENT},),
    ),
    "eventMessagePack": _Message(
        channel="events",
        title="Event in MessagePack",
        summary="The same, known by its content type or its first byte.",
        content_type="application/msgpack",
        payload=PredictionEvent,
    ),
    "eventCloudEventBinary": _Message(
        channel="events",
        title="Event as a CloudEvent in binary mode",
        summary="Id and time come from the headers; the value is the data alone.",
        content_type="application/json",
        payload=EventData,
        traits=("cloudEvent",),
        examples=({"name": "loan", "headers": _CE_HEADERS, "payload": _EVENT_DATA},),
    ),
    "eventCloudEventStructured": _Message(
        channel="events",
        title="Event as a CloudEvent in structured mode",
        summary="Known by its content type; id and time come from the envelope.",
        content_type="application/cloudevents+json",
        payload=StructuredCloudEvent,
        examples=(
            {
                "name": "loan",
                "payload": {
                    "specversion": "1.0",
                    "id": "a-17",
                    "source": "/loans",
                    "type": "org.example.loan.requested.v1",
                    "time": "2026-03-01T09:30:00Z",
                    "data": _EVENT_DATA,
                },
            },
        ),
    ),
    "decision": _Message(
        channel="decisions",
        title="Decision",
        summary="What was decided, by what, and why. When: the timestamp of the record.",
        content_type=CONTENT_TYPE,
        payload=Decision,
        examples=({"name": "review", "payload": _DECISION},),
    ),
    "decisionCloudEvent": _Message(
        channel="decisions",
        title="Decision as a CloudEvent in binary mode",
        summary="The same value with headers, where `output.envelope` is `cloudevents`.",
        content_type=CONTENT_TYPE,
        payload=Decision,
        traits=("cloudEvent",),
        examples=({"name": "review", "headers": _DECISION_HEADERS, "payload": _DECISION},),
    ),
    "deadLetter": _Message(
        channel="deadLetters",
        title="Dead letter",
        summary="Key, value and headers of the refused record, and headers that say why.",
        content_type="application/octet-stream",
        payload=None,
        headers=DeadLetterHeaders,
    ),
    "signal": _Message(
        channel="signals",
        title="Signal",
        summary="Drift began or ended, with the numbers that say so.",
        content_type=CONTENT_TYPE,
        payload=Signal,
        key=_MODEL_KEY,
        examples=({"name": "drift", "payload": _SIGNAL},),
    ),
}

_TRAITS: Mapping[str, type[Struct]] = {"cloudEvent": CloudEventHeaders}

_NAME = {"description": "`name` of the config; the name of the model's bundle when absent."}
_GROUP = {"type": "string", "description": "`kafka.group`; `<name>-sidecar` when empty."}
_CLIENT = {"type": "string", "description": "The sidecar's name."}
_ANY_BYTES = {"description": "The bytes that came. The headers that came say how to read them."}

_SECURITY: Mapping[str, Mapping[str, str]] = {
    "plain": {"type": "plain", "description": "SASL/PLAIN."},
    "scramSha256": {"type": "scramSha256", "description": "SASL/SCRAM-SHA-256."},
    "scramSha512": {"type": "scramSha512", "description": "SASL/SCRAM-SHA-512."},
    "token": {"type": "http", "scheme": "bearer", "description": "SASL/OAUTHBEARER."},
    "certificate": {"type": "X509", "description": "A client certificate."},
}


def asyncapi() -> Schema:
    """Give the AsyncAPI document of the topics."""
    return {
        "asyncapi": _ASYNCAPI,
        "id": "urn:sidecar:asyncapi",
        "info": {
            "title": "sidecar",
            "version": __version__,
            "description": "Prediction events in; decisions, dead letters and signals out. "
            "Topics have the names that they get by default: `topics` of the config may name "
            "others.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": _server("kafka"),
            "kafkaTls": {
                **_server("kafka-secure"),
                "security": [_ref("securitySchemes", name) for name in _SECURITY],
            },
        },
        "channels": {name: _channel(name, each) for name, each in _CHANNELS.items()},
        "operations": {
            each.operation: _operation(name, each) for name, each in _CHANNELS.items()
        },
        "components": {
            "messages": {name: _message(each) for name, each in _MESSAGES.items()},
            "messageTraits": {
                name: {"headers": _schema(each)} for name, each in _TRAITS.items()
            },
            "schemas": components_of(_structs(), _SCHEMAS),
            "securitySchemes": {name: dict(each) for name, each in _SECURITY.items()},
        },
    }


def asyncapi_text() -> str:
    """Give the document as the text of its file, `schemas/asyncapi.yaml`."""
    return yaml.dump(asyncapi(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=96)


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice: references of YAML are not for everyone's parser."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _structs() -> list[type[Struct]]:
    found = [each.payload for each in _MESSAGES.values()]
    found += [each.headers for each in _MESSAGES.values()]
    return [struct for struct in (*found, *_TRAITS.values()) if struct is not None]


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _schema(struct: type[Struct]) -> dict[str, str]:
    return _ref("schemas", struct.__name__)


def _server(protocol: str) -> Schema:
    return {
        "host": "{bootstrap}",
        "protocol": protocol,
        "variables": {
            "bootstrap": {
                "description": "One of `kafka.bootstrap_servers`.",
                "examples": ["broker-1:9092"],
            }
        },
    }


def _channel(name: str, channel: _Channel) -> Schema:
    kinds = [key for key, message in _MESSAGES.items() if message.channel == name]
    return {
        "address": channel.address,
        "title": channel.title,
        "parameters": {"name": dict(_NAME)},
        "messages": {key: _ref("messages", key) for key in kinds},
        "bindings": {
            "kafka": {"topicConfiguration": {"cleanup.policy": ["delete"]}, **_BINDING}
        },
    }


def _operation(name: str, channel: _Channel) -> Schema:
    kinds = [key for key, message in _MESSAGES.items() if message.channel == name]
    group = {"groupId": _GROUP} if channel.action == "receive" else {}
    return {
        "action": channel.action,
        "channel": {"$ref": f"#/channels/{name}"},
        "summary": channel.summary,
        "messages": [{"$ref": f"#/channels/{name}/messages/{key}"} for key in kinds],
        "bindings": {"kafka": {**group, "clientId": _CLIENT, **_BINDING}},
    }


def _message(message: _Message) -> Schema:
    optional: Schema = {}
    if message.headers:
        optional["headers"] = _schema(message.headers)
    if message.traits:
        optional["traits"] = [_ref("messageTraits", trait) for trait in message.traits]
    if message.examples:
        optional["examples"] = [dict(example) for example in message.examples]
    return {
        "title": message.title,
        "summary": message.summary,
        "contentType": message.content_type,
        "payload": _schema(message.payload) if message.payload else dict(_ANY_BYTES),
        "bindings": {"kafka": {"key": dict(message.key), **_BINDING}},
        **optional,
    }
