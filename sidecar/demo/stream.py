"""The records that the demo sends: three years of people, some of them twice, some broken."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from sidecar.demo.incidents import spoil
from sidecar.demo.table import People, read_people

SEED = 2016
ASKED_AGAIN_SHARE = 0.1
"""Share of people of whom a second event asks within 30 days: without them no cached answer
could ever be used."""
BROKEN_EVERY = 200
"""One record in so many is followed by one that cannot be decided."""
_AGAIN_WITHIN_MS = 30 * 86_400_000

Event = dict[str, Any]


class Outgoing(NamedTuple):
    """One record to send."""

    event_time_ms: int
    key: bytes
    value: bytes | None


def make_stream(table: Path, *, seed: int = SEED) -> list[Outgoing]:
    """Give all records in the order of their event time; equal for equal seeds."""
    random = np.random.default_rng(seed)
    people = ask_again(read_people(table), random)
    spoil(people, random)
    return list(_with_broken(people))


def ask_again(people: People, random: np.random.Generator) -> People:
    """Let a share of the people come a second time, at most 30 days later."""
    chosen = np.flatnonzero(random.random(len(people)) < ASKED_AGAIN_SHARE)
    later = random.integers(1, _AGAIN_WITHIN_MS, len(chosen))
    when = people.event_time_ms[chosen] + later
    inside = when <= people.event_time_ms[-1]
    rows = np.concatenate([np.arange(len(people)), chosen[inside]])
    times = np.concatenate([people.event_time_ms, when[inside]])
    order = np.argsort(times, kind="stable")
    return people.take(rows[order], times[order])


def _with_broken(people: People) -> Iterator[Outgoing]:
    for number, (outgoing, event) in enumerate(_encoded(people), 1):
        yield outgoing
        if number % BROKEN_EVERY == 0:
            spoiler = BROKEN[number // BROKEN_EVERY % len(BROKEN)]
            yield outgoing._replace(value=spoiler(event))


def _encoded(people: People) -> Iterator[tuple[Outgoing, Event]]:
    # Row by row: this is the encoder of the producing side.
    names = list(people.features)
    rows = zip(*(column.tolist() for column in people.features.values()), strict=True)
    times = people.event_time_ms
    encoder = msgspec.json.Encoder()
    for number, (person, at_ms, text, row) in enumerate(
        zip(people.ids.tolist(), times.tolist(), _rfc3339(times), rows, strict=True)
    ):
        features = {
            name: value for name, value in zip(names, row, strict=True) if value is not None
        }
        event = {"id": f"e{number}", "time": text, "features": features}
        yield Outgoing(at_ms, str(person).encode(), encoder.encode(event)), event


def _rfc3339(times_ms: NDArray[np.int64]) -> list[str]:
    texts: list[str] = np.datetime_as_string(
        times_ms.astype("datetime64[ms]"), timezone="UTC"
    ).tolist()
    return texts


# --- records that cannot be decided --------------------------------------------------------


def _truncated(event: Event) -> bytes:
    return msgspec.json.encode(event)[:-20]


def _age_in_words(event: Event) -> bytes:
    return msgspec.json.encode(event | {"features": event["features"] | {"AGEP": "forty"}})


def _without_features(event: Event) -> bytes:
    return msgspec.json.encode({"id": event["id"], "time": event["time"]})


def _of_another_model(event: Event) -> bytes:
    prediction = {"label": "repaid", "model": "credit"}
    return msgspec.json.encode(event | {"prediction": prediction})


def _in_latin_1(event: Event) -> bytes:
    return msgspec.json.encode(event | {"id": "Zoë"}).decode().encode("latin-1")


def _tombstone(_event: Event) -> None:
    return None


BROKEN: tuple[Callable[[Event], bytes | None], ...] = (
    _truncated,
    _age_in_words,
    _without_features,
    _of_another_model,
    _in_latin_1,
    _tombstone,
)
"""What producers do wrong, in turn; the last one is no fault, it only gets no decision."""
