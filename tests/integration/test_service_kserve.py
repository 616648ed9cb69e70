"""The running service beside a KServe model: its payload log, crashes, and what never pairs."""

import json
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.pipeline.kserve import REQUEST_TYPE, RESPONSE_TYPE
from tests.bundle_factory import EVENT, LABELS, credit_rows
from tests.event_samples import tensor
from tests.integration.conftest import Launch
from tests.integration.service import PARTITIONS, Input, Sidecar, Topics, eventually
from tests.kserve_samples import logged_headers

PAIRS = 4_000
# A broker takes no record from the future.
BEGAN_MS = SystemClock().now_ms() - 600_000
LAG = 40
"""So many calls are being answered at a time."""
TYPES = {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES"}
FEATURES = [
    [tensor(name, TYPES[type(row[name])], row[name]) for name in EVENT]
    for row in credit_rows(500, seed=3)
    if row["income"] is not None
]


def record(kind: str, name: str, body: Any, at: int, partition: int) -> Input:
    headers = tuple(logged_headers(kind, name))
    key = f"{name}-{kind.rpartition('.')[2]}".encode()
    return Input(json.dumps(body).encode(), key, headers, partition, BEGAN_MS + 10 * at)


def asked(at: int, name: str, partition: int) -> Input:
    return record(REQUEST_TYPE, name, {"inputs": FEATURES[at % len(FEATURES)]}, at, partition)


def answered(at: int, name: str, partition: int) -> Input:
    outputs = [tensor("predict", "INT64", at % 2), tensor("score", "FP32", at % 100 / 100)]
    return record(RESPONSE_TYPE, name, {"outputs": outputs}, at, partition)


def log_of_calls() -> list[Input]:
    """Calls that overlap, in all partitions; every ninth has its response before its request,
    and of some a half is missing."""
    log: list[Input] = []
    for at in range(PAIRS + LAG):
        done = at - LAG
        make = (answered, asked) if at % 9 == 0 else (asked, answered)
        if at < PAIRS:
            log.append(make[0](at, f"c{at}", at % PARTITIONS))
        if done >= 0:
            make = (answered, asked) if done % 9 == 0 else (asked, answered)
            log.append(make[1](done, f"c{done}", done % PARTITIONS))
    lonely = [
        *(asked(at, f"q{at}", at % PARTITIONS) for at in range(0, 400, 37)),
        *(answered(at, f"a{at}", at % PARTITIONS) for at in range(0, 400, 53)),
    ]
    for each in lonely:
        log.insert(len(log) // 2, each)
    return log


def busy(sidecar: Sidecar) -> None:
    """Wait until it has decided the first of many pairs."""
    eventually(lambda: sidecar.books()["decided"] > 500, "the first decisions", 60)


@pytest.mark.kafka
@pytest.mark.timeout(240)
def test_crashes_cost_no_pair_and_give_up_none_that_is_whole(
    kafka_topics: Topics, launch: Launch
) -> None:
    topics = kafka_topics
    kserve = {"format": "kserve", "kserve": {"max_wait": "60s", "look_back": 1_000}}
    log = log_of_calls()
    topics.send(log)
    for _ in range(2):
        crashing = launch(topics, model={"max_batch_records": 64}, input=kserve)
        busy(crashing)
        crashing.kill()

    last = launch(topics, input=kserve).working()
    late = PAIRS + 120_000 // 10
    for partition in range(PARTITIONS):
        name = f"late{partition}"
        topics.send([asked(late, name, partition), answered(late, name, partition)])
    eventually(topics.settled, "a committed outcome of every record", 90)
    books, waiting = last.books(), last.sample("sidecar_waiting_records")
    code = last.stop()

    decisions = topics.read(topics.decisions)
    letters = topics.read(topics.letters)
    whole = [f"c{at}" for at in range(PAIRS)] + [f"late{p}" for p in range(PARTITIONS)]
    by_name = {each.json["event_id"]: each for each in decisions}
    assert sorted(by_name) == sorted(whole)
    assert len({(each.json["event_id"], each.value) for each in decisions}) == len(whole)
    for at in range(PAIRS):
        found = by_name[f"c{at}"]
        said = (found.json["label"], found.json["score"], found.json["source"])
        assert said == (LABELS[at % 2], at % 100 / 100, "upstream")
        assert (found.key, found.partition) == (f"c{at}-response".encode(), at % PARTITIONS)
    assert {(each.key, each.error("code"), each.value) for each in letters} == {
        (each.key, "no_response" if each.key[:1] == b"q" else "no_request", each.value)
        for each in log
        if each.key and each.key[:1] in b"qa"
    }
    assert books["received"] == sum(books.values()) - books["received"]
    assert (waiting, code) == (0, 0)
