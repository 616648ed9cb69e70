"""The records of the demo, before anybody decided about them."""

from typing import Any

import msgspec
import numpy as np
import pytest

from sidecar.demo.incidents import AGE_IN_MONTHS, EDUCATION_MISSING
from sidecar.demo.stream import BROKEN, Outgoing, ask_again, make_stream
from sidecar.demo.table import DATA, People, read_people


@pytest.fixture(scope="module")
def stream() -> list[Outgoing]:
    return make_stream(DATA / "stream.parquet")


@pytest.fixture(scope="module")
def people() -> People:
    return read_people(DATA / "stream.parquet")


def events(stream: list[Outgoing]) -> list[tuple[int, dict[str, Any]]]:
    """The sound events, with their event time."""
    found = []
    for record in stream:
        try:
            event = msgspec.json.decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if event.get("features", {}).get("AGEP", "") != "forty" and "prediction" not in event:
            found.append((record.event_time_ms, event))
    return [(at, event) for at, event in found if "features" in event]


def test_equal_seeds_give_equal_bytes(stream: list[Outgoing]) -> None:
    assert make_stream(DATA / "stream.parquet") == stream


def test_records_are_in_the_order_of_their_event_time(stream: list[Outgoing]) -> None:
    times = [record.event_time_ms for record in stream]

    assert times == sorted(times)


def test_each_kind_of_broken_record_comes_equally_often(stream: list[Outgoing]) -> None:
    broken = len(stream) - len(events(stream))

    assert broken == len(events(stream)) // 200
    tombstones = sum(record.value is None for record in stream)
    assert tombstones == round(broken / len(BROKEN))


def test_a_share_asks_again_within_thirty_days_with_the_same_key(people: People) -> None:
    asked = ask_again(people, np.random.default_rng(1))

    again, counts = np.unique(asked.ids, return_counts=True)
    assert 0.09 < np.mean(counts == 2) < 0.11
    assert counts.max() == 2
    twice = np.isin(asked.ids, again[counts == 2])
    order = np.argsort(asked.ids[twice], kind="stable")
    gaps = np.diff(asked.event_time_ms[twice][order].reshape(-1, 2), axis=1)
    assert 0 < gaps.min() <= gaps.max() <= 30 * 86_400_000


def test_education_is_left_out_in_the_first_incident_alone(stream: list[Outgoing]) -> None:
    during: list[bool] = []
    outside: list[bool] = []
    for at, event in events(stream):
        part = during if EDUCATION_MISSING.on(at) else outside
        part.append("SCHL" not in event["features"])

    assert 0.38 < np.mean(during) < 0.42
    assert not any(outside)


def test_ages_are_months_in_the_second_incident_alone(
    stream: list[Outgoing], people: People
) -> None:
    years = dict(zip(people.ids.tolist(), people.features["AGEP"].tolist(), strict=True))
    keys = {record.value: int(record.key) for record in stream}

    factors: dict[bool, set[float]] = {True: set(), False: set()}
    encoder = msgspec.json.Encoder()
    for at, event in events(stream):
        if age := years[keys[encoder.encode(event)]]:
            factors[AGE_IN_MONTHS.on(at)].add(event["features"]["AGEP"] / age)

    assert factors == {True: {12.0}, False: {1.0}}
