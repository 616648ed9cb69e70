"""The running service between clients that speak the Open Inference Protocol."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from tests.bundle_factory import EVENT, LABELS, credit_probability, credit_rows
from tests.event_samples import tensor
from tests.integration.conftest import Launch
from tests.integration.service import PARTITIONS, Headers, Input, Output, Topics, eventually

COUNT = 2_000
TYPES = {
    "amount": "FP32",
    "income": "FP64",
    "age": "INT32",
    "is_customer": "BOOL",
    "segment": "BYTES",
    "region": "INT64",
}


def applications() -> Iterator[tuple[str, dict[str, Any]]]:
    for at, row in enumerate(credit_rows(COUNT, seed=5)):
        yield f"e{at}", {name: row[name] for name in EVENT}


def record(at: int, event_id: str, features: dict[str, Any]) -> Input:
    """Write a request: bare, in either mode of a CloudEvent, and some as a bare event."""
    shape = (1, 1) if at % 2 else (1,)
    inputs = [tensor(name, TYPES[name], features[name], shape=shape) for name in features]
    headers: Headers = ()
    said: dict[str, Any] = {"id": event_id, "inputs": inputs}
    match at % 4:
        case 1:
            said = {"inputs": inputs}
            headers = (
                ("ce_specversion", b"1.0"), ("ce_id", event_id.encode()),
                ("ce_source", b"/loans"), ("ce_type", b"asked"),
                ("content-type", b"application/json"),
            )  # fmt: skip
        case 2:
            envelope = {"specversion": "1.0", "id": event_id, "source": "/loans", "type": "t"}
            said = {**envelope, "data": {"inputs": inputs}}
            headers = (("content-type", b"application/cloudevents+json"),)
        case 3:
            said = {"id": event_id, "features": features}
    return Input(json.dumps(said).encode(), b"k%d" % (at % 9), headers, at % PARTITIONS)


def output(response: dict[str, Any], name: str) -> Any:
    (found,) = (each["data"] for each in response["outputs"] if each["name"] == name)
    return found[0]


@pytest.mark.timeout(180)
def test_requests_in_every_envelope_become_responses_under_their_keys(
    topics: Topics, launch: Launch
) -> None:
    by_id = dict(applications())
    sent = [record(at, *each) for at, each in enumerate(by_id.items())]
    several = tensor("amount", "FP32", 1.0, 2.0, shape=(2,))
    bad = json.dumps({"id": "two", "inputs": [several]}).encode()

    sidecar = launch(topics, output={"format": "oip"}).working()
    topics.send([*sent, Input(bad, b"two", (), 0)])
    eventually(topics.settled, "a committed outcome of every event", 60)
    books, code = sidecar.books(), sidecar.stop()

    responses = topics.read(topics.decisions)
    answers = {each.json["parameters"]["event_id"]: each.json for each in responses}
    assert keys_by_partition(responses) == [
        [each.key for each in sent if each.partition == partition]
        for partition in range(PARTITIONS)
    ]
    assert answers.keys() == by_id.keys()
    np.testing.assert_allclose(
        [output(answers[event_id], "score") for event_id in by_id],
        [credit_probability(features) for features in by_id.values()],
        atol=2e-6,
    )
    assert {output(answer, "label") for answer in answers.values()} == set(LABELS)
    (letter,) = topics.read(topics.letters)
    assert (letter.value, letter.error("code")) == (bad, "not_one_row")
    assert letter.error("path") == "$.inputs[0].shape[0]"
    assert books == {"received": COUNT + 1, "decided": COUNT, "rejected": 1, "tombstones": 0}
    assert code == 0


def keys_by_partition(records: Sequence[Output]) -> list[list[bytes | None]]:
    return [
        [each.key for each in records if each.partition == partition]
        for partition in range(PARTITIONS)
    ]
