"""The running service, in both uses: every event gets one decision, and the books balance."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.bundle_factory import EVENT, LABELS, credit_probability, credit_rows
from tests.integration.conftest import Launch
from tests.integration.service import OK, PARTITIONS, Headers, Input, Topics, eventually

COUNT = 20_000
MSGPACK: Headers = (("content-type", b"application/msgpack"),)
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)


def binary_headers(event_id: str) -> Headers:
    return (
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", b"/loans"),
        ("ce_type", b"org.example.scored"),
    )


def encoded(at: int, event_id: str, data: dict[str, Any]) -> tuple[bytes, Headers]:
    """Write an event in one of four ways, in turn."""
    match at % 7:
        case 0 | 1:
            return json.dumps({"id": event_id, **data}).encode(), ()
        case 2 | 3:
            return msgspec.msgpack.encode({"id": event_id, **data}), MSGPACK
        case 4 | 5:
            return json.dumps(data).encode(), binary_headers(event_id)
    envelope = {"specversion": "1.0", "id": event_id, "source": "/loans", "type": "scored"}
    return json.dumps({**envelope, "data": data}).encode(), STRUCTURED


def applications(count: int) -> Iterator[dict[str, Any]]:
    """Give features of all kinds of events, some without an income."""
    rows = credit_rows(1_000, seed=11)
    for at in range(count):
        yield {name: rows[at % len(rows)][name] for name in EVENT}


@pytest.mark.timeout(180)
def test_each_event_gets_one_decision_under_its_own_key_in_order(
    topics: Topics, launch: Launch
) -> None:
    keys = [b"", b"\x00\xff\xfe", "Grüße".encode(), *(b"k%d" % at for at in range(397))]
    by_id = {f"e{at}": features for at, features in enumerate(applications(COUNT))}
    sent: dict[int, list[tuple[bytes, str]]] = defaultdict(list)
    records = []
    for at, (event_id, features) in enumerate(by_id.items()):
        key = random.Random(at).randrange(len(keys))
        value, headers = encoded(at, event_id, {"features": features})
        records.append(Input(value, keys[key], headers, key % PARTITIONS))
        sent[key % PARTITIONS].append((keys[key], event_id))

    sidecar = launch(topics).working()
    topics.send(records)
    eventually(topics.settled, "a committed outcome of every event", 60)
    ready, books = sidecar.probe(), sidecar.books()
    code = sidecar.stop()

    decisions = topics.read(topics.decisions)
    got: dict[int, list[tuple[bytes | None, str]]] = defaultdict(list)
    for record in decisions:
        got[record.partition].append((record.key, record.json["event_id"]))
    answers = [record.json for record in decisions]
    truth = np.array([credit_probability(by_id[answer["event_id"]]) for answer in answers])
    assert (code, ready[:2]) == (0, OK)
    assert got == sent
    assert len({answer["id"] for answer in answers}) == COUNT
    assert {(answer["source"], answer["reason"]) for answer in answers} == {
        ("model", "confident")
    }
    np.testing.assert_allclose([answer["score"] for answer in answers], truth, atol=2e-6)
    assert {answer["label"] for answer in answers} == set(LABELS)
    assert books == {"received": COUNT, "decided": COUNT, "rejected": 0, "tombstones": 0}
    assert topics.committed() == topics.ends(topics.events)
    assert topics.read(topics.letters) == []


@pytest.mark.mock_kafka
def test_the_decisions_of_a_model_beside_it_are_kept_and_watched(
    mock_topics: Topics, launch: Launch
) -> None:
    random_source = random.Random(3)
    predictions = [
        {"label": LABELS[score > 0.4], "score": score, "confidence": 0.9, "version": "6b"}
        for score in (round(random_source.random(), 4) for _ in range(1_200))
    ]
    records = [
        Input(
            json.dumps({"id": f"e{at}", "features": features, "prediction": said}).encode(),
            partition=at % PARTITIONS,
        )
        for at, (features, said) in enumerate(
            zip(applications(len(predictions)), predictions, strict=True)
        )
    ]

    sidecar = launch(mock_topics).working()
    mock_topics.send(records)
    eventually(mock_topics.settled, "a committed outcome of every event")

    decided = {answer.pop("event_id"): answer for answer in map(_kept, _answers(mock_topics))}
    assert decided == {
        f"e{at}": {**said, "source": "upstream", "reason": "upstream", "model": "credit"}
        for at, said in enumerate(predictions)
    }
    window = {"window": "5m", "method": "psi"}
    watched = "sidecar_prediction_drift_score"
    assert sidecar.sample("sidecar_window_records", window="5m") == len(predictions)
    assert sidecar.sample("sidecar_monitor_ready", window="5m") == 1
    # Everybody is sure to 0.9, as the model of the bundle never is; the labels shift a little.
    assert sidecar.sample(watched, subject="confidence", **window) > 1
    assert sidecar.sample(watched, subject="label", **window) > 0
    assert sidecar.sample(watched, subject="score", **window) > 0
    assert sidecar.sample("sidecar_drift_score", feature="amount", **window) < 0.1
    assert sidecar.sample("sidecar_model_calls_total") == 0
    assert sidecar.stop() == 0


def _answers(topics: Topics) -> list[dict[str, Any]]:
    return [record.json for record in topics.read(topics.decisions)]


def _kept(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: answer[name] for name in answer if name not in {"id", "event_time"}}
