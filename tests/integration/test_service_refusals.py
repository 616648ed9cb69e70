"""What the running service refuses: dead letters on real Kafka, and a pause when all is bad."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.brokers.kafka import KafkaBroker
from tests.bundle_factory import EVENT
from tests.contracts.benches import refused
from tests.fakes import Stored
from tests.integration.conftest import Launch
from tests.integration.service import (
    Headers,
    Input,
    Output,
    Topics,
    eventually,
    good_events,
    ids,
)

SECRET = "canary-51f8"
"""Stands in payloads, and so must stand nowhere but in dead letters."""
HEADERS: Headers = (("trace", b"1"), ("trace", b"2"), ("none", None), ("raw", b"\xff\x00"))


class Bad(NamedTuple):
    """A value that must be refused, and how."""

    value: bytes
    code: str
    path: str = "$"


def event(**fields: Any) -> bytes:
    return json.dumps({"id": SECRET, "features": EVENT, **fields}).encode()


def features(**values: Any) -> bytes:
    return event(features={**EVENT, **values})


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in EVENT.items() if key != name}


GOOD = features()
TABLE = {
    "truncated": Bad(GOOD[:-20], "malformed_json"),
    "no JSON at all": Bad(f"{SECRET}, please".encode(), "malformed_json"),
    "empty": Bad(b"", "empty"),
    "not UTF-8": Bad(GOOD.replace(b"silver", b"sil\xffer"), "invalid_utf8"),
    "ten megabytes": Bad(event(note="x" * 10_000_000), "too_large"),
    "10,000 arrays deep": Bad(b"[" * 10_000 + b"]" * 10_000, "too_deep"),
    "deep where it is ignored": Bad(
        GOOD[:-1] + b', "note": ' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001, "too_deep"
    ),
    "deep and never closed": Bad(b'{"a":' * 10_000, "too_deep"),
    "a text for a number": Bad(features(amount=SECRET), "wrong_type", "$.features.amount"),
    "a number for a text": Bad(features(segment=7), "wrong_type", "$.features.segment"),
    "a part of a whole": Bad(features(age=41.5), "wrong_type", "$.features.age"),
    "a list of features": Bad(event(features=[1, 2]), "wrong_type", "$.features"),
    "a list of events": Bad(b"[" + GOOD + b"]", "wrong_type"),
    "NaN": Bad(features(amount=float("nan")), "malformed_json"),
    "Infinity": Bad(features(amount=float("inf")), "malformed_json"),
    "NaN as a text": Bad(features(amount="NaN"), "wrong_type", "$.features.amount"),
    "past a double": Bad(
        GOOD.replace(b"800.0", b"1e400"), "number_out_of_range", "$.features.amount"
    ),
    "past a float32": Bad(features(amount=3.5e38), "number_out_of_range", "$.features.amount"),
    "past exact integers": Bad(
        features(age=2**53 + 1), "number_out_of_range", "$.features.age"
    ),
    "no feature": Bad(event(features=without("age")), "missing_feature", "$.features.age"),
    "a null feature": Bad(features(age=None), "missing_feature", "$.features.age"),
    "no id": Bad(json.dumps({"features": EVENT}).encode(), "missing_field", "$.id"),
    "no features": Bad(b'{"id": "a"}', "missing_field", "$.features"),
    "no time": Bad(event(time="yesterday"), "invalid_time", "$.time"),
    "another model": Bad(event(model=SECRET), "unknown_model", "$.model"),
    "another upstream model": Bad(
        event(prediction={"label": "approve", "model": SECRET}),
        "unknown_model",
        "$.prediction.model",
    ),
    "schema registry": Bad(b"\x00\x00\x00\x00\x2a" + GOOD, "registry_prefix"),
    "MessagePack, cut": Bad(
        msgspec.msgpack.encode({"id": SECRET, "features": EVENT})[:-3], "malformed_msgpack"
    ),
    "MessagePack with NaN": Bad(
        msgspec.msgpack.encode({"id": "a", "features": {**EVENT, "amount": float("nan")}}),
        "number_out_of_range",
        "$.features.amount",
    ),
}


def original(letter: Output) -> Input:
    """Give the record that a dead letter was, without what was added."""
    added = sum(name.startswith("sidecar.error.") for name, _ in letter.headers)
    kept = letter.headers[: len(letter.headers) - added]
    return Input(letter.value, letter.key, kept, letter.partition)


@pytest.mark.kafka
def test_each_kind_of_bad_record_becomes_a_dead_letter_and_its_neighbours_are_decided(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    for topic in (topics.events, topics.letters):
        kafka.set_config(topic, max_message_bytes="12000000")
    bad = [
        Input(row.value, b"\x00bad-%d" % at, headers, 1)
        for at, row in enumerate(TABLE.values())
        for headers in ((), HEADERS)
    ]
    neighbours = [Input(event(id=f"n{at}"), b"good", (), 1) for at in range(len(bad) + 1)]
    unknown = Input(
        event(id="extra", tags=[SECRET], features={**EVENT, "new": {}}), None, (), 2
    )
    tombstones = [Input(None, b"gone", HEADERS, 2), Input(None, None, (), 2)]
    mixed = [record for pair in zip(neighbours, bad, strict=False) for record in pair]

    sidecar = launch(topics, limits={"dead_letter_share": 1.0}).working()
    topics.send([*mixed, neighbours[-1], *tombstones, unknown])
    eventually(topics.settled, "a committed outcome of every record")

    letters = topics.read(topics.letters)
    wanted = [(row.code, row.path) for row in TABLE.values() for _ in range(2)]
    assert [(letter.error("code"), letter.error("path")) for letter in letters] == wanted
    assert [original(letter) for letter in letters] == bad
    assert [letter.error("offset") for letter in letters] == [
        str(at) for at in range(1, 2 * len(bad), 2)
    ]
    decided = ids(topics.read(topics.decisions))
    assert decided == [f"n{at}" for at in range(len(neighbours))] + ["extra"]
    assert sidecar.books() == {
        "received": len(mixed) + 4,
        "decided": len(decided),
        "rejected": len(bad),
        "tombstones": 2,
    }
    _, page = sidecar.get("/", "status")
    _, status = sidecar.get("/api/v1/status", "status")
    _, metrics = sidecar.get("/metrics")
    assert sidecar.stop() == 0
    assert SECRET not in sidecar.output + page + status + metrics
    assert SECRET not in " ".join(letter.error("message") for letter in letters)


def lower_the_limit(kafka: KafkaBroker, topics: Topics) -> None:
    """Let the decisions topic take 3,000 bytes at most, and wait until it is so."""
    witness = f"{topics.name}.witness"
    kafka.create_topic(witness, 1)
    # Changes are applied in their order: once the second one is, the first one is.
    for topic in (topics.decisions, witness):
        kafka.set_config(topic, max_message_bytes="3000")
    too_large = Stored(b"key", b"x" * 4_000)
    eventually(lambda: refused(kafka.bootstrap, witness, 0, too_large), "the lower limit")


@pytest.mark.kafka
@pytest.mark.parametrize("when", ["before the start", "while running"])
def test_a_decision_that_its_topic_refuses_becomes_a_dead_letter_of_its_event(
    kafka: KafkaBroker, kafka_topics: Topics, launch: Launch, when: str
) -> None:
    topics = kafka_topics
    if when == "before the start":
        lower_the_limit(kafka, topics)
    sidecar = launch(topics).working()
    topics.send(good_events(8))
    eventually(topics.settled, "the first outcomes")
    if when == "while running":
        lower_the_limit(kafka, topics)

    long_id = Input(event(id="x" * 5_000), b"long", HEADERS, 0)
    before, after = good_events(100, first=8), good_events(100, first=108)
    topics.send([*before, long_id, *after])
    eventually(topics.settled, "a committed outcome of every event")

    (letter,) = topics.read(topics.letters)
    assert (letter.error("code"), letter.error("stage")) == ("output_refused", "send")
    assert original(letter) == long_id
    assert sorted(ids(topics.read(topics.decisions))) == sorted(f"e{at}" for at in range(208))
    books = {"received": 209, "decided": 208, "rejected": 1, "tombstones": 0}
    assert sidecar.books() == books
    assert sidecar.stop() == 0


@pytest.mark.mock_kafka
def test_nothing_but_bad_records_pauses_the_intake_says_so_and_loses_nothing(
    mock_topics: Topics, launch: Launch
) -> None:
    bad = [Input(b'{"id": %d' % at, b"k", (), at % 4) for at in range(600)]
    sidecar = launch(
        mock_topics, model={"max_batch_records": 100}, limits={"dead_letter_pause": "500ms"}
    ).working()
    sidecar.becomes()

    mock_topics.send(bad)
    paused = sidecar.becomes("dead_letter_share")
    flag = eventually(
        lambda: sidecar.sample("sidecar_paused", reason="dead_letter_share"), "the pause"
    )
    line = sidecar.said("intake_paused", reason="dead_letter_share", level="error")
    eventually(mock_topics.settled, "a committed outcome of every record")
    sidecar.said("intake_resumed")
    sidecar.becomes()

    letters = mock_topics.read(mock_topics.letters)
    assert "more than 50%" in paused.text
    assert (flag, sidecar.sample("sidecar_paused")) == (1, 0)
    assert "nothing is lost" in line["message"]
    assert sorted(map(original, letters)) == sorted(bad)
    assert {letter.error("code") for letter in letters} == {"wrong_type"}
    books = {"received": 600, "decided": 0, "rejected": 600, "tombstones": 0}
    assert sidecar.books() == books
    assert sidecar.stop() == 0
