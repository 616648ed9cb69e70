"""What a running sidecar tells people: the last decisions, masked, and a history of its own."""

import json

import pytest

from tests.bundle_factory import EVENT
from tests.integration.conftest import Launch
from tests.integration.service import Input, Topics, eventually

pytestmark = pytest.mark.mock_kafka


def test_an_event_is_followed_from_its_record_to_its_acknowledgement(
    mock_topics: Topics, launch: Launch
) -> None:
    shown, hidden = "age", [name for name in EVENT if name != "age"]
    http = {
        "decisions": 10,
        "decision_fields": [shown],
        "history": "1m",
        "history_step": "100ms",
    }
    sidecar = launch(mock_topics, http=http).working()
    good = json.dumps({"id": "event-4711", "features": EVENT}).encode()

    mock_topics.send([Input(good, b"customer-4711", partition=2), Input(b"{", partition=1)])

    def decisions() -> tuple[int, str]:
        return sidecar.get("/api/v1/decisions", "status")

    def throughput() -> list[float]:
        history = json.loads(sidecar.get("/api/v1/history", "status")[1])
        found: list[float] = history["decisions_per_second"]["model"]
        return found

    eventually(lambda: len(json.loads(decisions()[1])["decisions"]) == 2, "two outcomes kept")

    text = decisions()[1]
    by_outcome = {each["outcome"]: each for each in json.loads(text)["decisions"]}
    answered, letter = by_outcome["decision"], by_outcome["dead_letter"]
    assert (answered["partition"], answered["offset"], answered["source"]) == (2, 0, "model")
    stages = [stage["stage"] for stage in answered["stages"]]
    assert stages == ["decode", "check", "score", "decide", "encode", "settle"]
    ends = [stage["began_ms"] + stage["took_ms"] for stage in answered["stages"]]
    assert ends == sorted(ends)
    assert answered["confidence"] >= answered["threshold"]
    assert list(answered["features"]) == [shown]
    assert (letter["code"], letter["partition"]) == ("malformed_json", 1)
    assert "4711" not in text
    assert not [name for name in hidden if name in text]
    eventually(lambda: any(throughput()), "the decision in the history")
    assert sidecar.stop() == 0
