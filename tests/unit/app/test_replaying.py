"""A replay from end to end, on files: what comes out, and what it does not depend on."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet  # type: ignore[import-untyped]

from sidecar.adapters.onnx_model import OnnxModel
from sidecar.adapters.replay_rows import TableColumns
from sidecar.app.replay_input import InputChoice, input_format
from sidecar.app.replay_report import RecordCounts, ReplayReport, describe_report
from sidecar.app.replaying import ReplayRequest, replay
from sidecar.bundle.load import load_bundle
from sidecar.config.load import load_settings
from sidecar.config.values import Duration
from sidecar.errors import Finding, UserError
from sidecar.pipeline.kserve import REQUEST_TYPE, RESPONSE_TYPE
from sidecar.ports import RawOutputs
from tests.bundle_factory import EVENT, credit_probability, credit_rows, write_csv
from tests.event_samples import tensor
from tests.fakes import FakeClock
from tests.kserve_samples import logged_headers

START_MS = 1_772_366_400_000
START = "2026-03-01T12:00:00.000Z"
SECTIONS: dict[str, Any] = {
    "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
    "topics": {"events": "credit.events"},
    "confidence": {"threshold": 0.75},
    "fallback": {
        "rules": [{"name": "large", "when": {"amount": {"gt": 2_500}}, "label": "review"}],
        "cache": {"max_age": "10m"},
        "default": {"label": "review"},
    },
    "monitors": {"windows": ["5m", "20m"], "lateness": "10m", "min_records": 50},
}
BAD = b'{"id": "cut'


class Bench:
    """A folder with a config, a place for input and the files that come out."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.folder = folder
        self.bundle = bundle

    def write(self, name: str, lines: Sequence[bytes]) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    def replay(
        self,
        source: Path | str,
        columns: TableColumns | None = None,
        every: str = "",
        batch: int = 4_096,
        as_live: bool = False,
        decisions: str = "decisions.jsonl",
        **sections: Any,
    ) -> ReplayReport:
        config = self.folder / "sidecar.yaml"
        model = {"bundle": str(self.bundle), "max_batch_records": batch, "timeout": "1ms"}
        config.write_text(yaml.safe_dump({**SECTIONS, "model": model, **sections}))
        choice = InputChoice(name=str(source), columns=columns or TableColumns())
        request = ReplayRequest(
            input=choice,
            decisions=self.folder / decisions,
            dead_letters=self.folder / "letters.jsonl",
            reports=(self.folder / "report.json",),
            every=Duration.parse(every) if every else None,
            as_live=as_live,
        )
        loaded = load_settings(config, {})
        return asyncio.run(replay(loaded, request, clock=FakeClock(), environ={}))

    @property
    def decisions(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines("decisions.jsonl")]

    @property
    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines("letters.jsonl")]

    def files(self) -> dict[str, bytes]:
        """Give what came out, in bytes."""
        names = ("decisions.jsonl", "letters.jsonl", "report.json")
        return {name: (self.folder / name).read_bytes() for name in names}

    def _lines(self, name: str) -> list[bytes]:
        return (self.folder / name).read_bytes().splitlines()


@pytest.fixture
def bench(tmp_path: Path, credit_bundle: Path) -> Bench:
    return Bench(tmp_path, credit_bundle)


def event(event_id: str = "a", **features: Any) -> dict[str, Any]:
    return {"id": event_id, "features": {**EVENT, **features}}


def line(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def stream(partition: int, count: int, seed: int = 1) -> list[bytes]:
    """Give records of one partition as lines: good, unsure, late and bad, tombstones."""
    dice = random.Random(seed * 31 + partition)
    lines = []
    for at, row in enumerate(credit_rows(count, seed=seed + partition)):
        time_ms = START_MS + (partition * 7 + at) * 20_000
        if dice.random() < 0.1:
            time_ms -= dice.randrange(30) * 60_000
        features = {name: row[name] for name in EVENT}
        value = json.dumps({"id": f"{partition}-{at}", "time": time_ms, "features": features})
        record = {
            "partition": partition,
            "offset": 100 + at,
            "timestamp": time_ms + 5,
            "key": f"key-{partition}-{dice.randrange(9)}",
            "value": None if at % 40 == 39 else BAD.decode() if at % 25 == 24 else value,
        }
        lines.append(line(record))
    return lines


# --- events --------------------------------------------------------------------------------


def test_lines_are_records_of_partition_0_at_their_own_time(bench: Bench) -> None:
    first, second = event("a", amount=100), event("b", amount=3_000, income=20_000.0)
    timed = {**first, "time": START_MS}

    report = bench.replay(bench.write("e.jsonl", [line(timed), b"", BAD, line(second)]))

    score = round(credit_probability(first["features"]), 6)
    ids = [each["id"].split("-", 1)[1] for each in bench.decisions]
    assert ids == ["0-0", "0-3"]
    assert {**bench.decisions[0], "score": pytest.approx(score, abs=2e-6), "id": ""} == {
        "id": "",
        "event_id": "a",
        "event_time": START,
        "model": "credit",
        "version": "7",
        "source": "model",
        "reason": "confident",
        "label": "approve",
        "score": pytest.approx(score, abs=2e-6),
        "confidence": pytest.approx(score, abs=2e-6),
    }
    # Without a time of its own it has that of the last event before it.
    assert bench.decisions[1]["event_time"] == START
    assert [(each["offset"], each["value"]) for each in bench.letters] == [(2, BAD.decode())]
    assert report.records == RecordCounts(received=3, decided=2, rejected=1, tombstones=0)
    assert report.rejections == {"malformed_json": 1}
    assert report.monitors.newest_event_time_ms == START_MS


def test_nothing_depends_on_now(bench: Bench) -> None:
    path = bench.write("e.jsonl", [line(event()), line({**event("b"), "time": 5_000})])

    bench.replay(path)

    assert [each["event_time"] for each in bench.decisions] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:05.000Z",
    ]
    assert "flags" not in bench.decisions[1]


def test_a_cloud_event_in_a_line_has_its_own_time(bench: Bench) -> None:
    envelope = {"specversion": "1.0", "id": "c", "source": "/x", "type": "t"}
    whole = {**envelope, "time": START, "data": {"features": EVENT}}
    inner = {**envelope, "data": {"features": EVENT, "time": START_MS + 1_000}}

    bench.replay(
        bench.write("e.jsonl", [line(whole), line(inner)]), input={"format": "cloudevents"}
    )

    assert [each["event_time"] for each in bench.decisions] == [
        START,
        "2026-03-01T12:00:01.000Z",
    ]


def test_requests_in_lines_become_responses(bench: Bench) -> None:
    types = {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES"}
    inputs = [tensor(name, types[type(value)], value) for name, value in EVENT.items()]
    source = bench.write("e.jsonl", [line({"id": "a", "inputs": inputs}), line(event("b"))])

    report = bench.replay(source, output={"format": "oip"})

    first, second = bench.decisions
    outputs = {each["name"]: each["data"] for each in first["outputs"]}
    score = round(credit_probability(EVENT), 6)
    assert report.records == RecordCounts(received=2, decided=2, rejected=0, tombstones=0)
    assert (first["model_name"], first["parameters"]["event_id"]) == ("credit", "a")
    assert outputs["score"] == [pytest.approx(score, abs=2e-6)]
    assert second["outputs"] == first["outputs"]


def test_a_log_of_kserve_is_joined_and_its_rest_given_up(bench: Bench) -> None:
    inputs = [
        tensor(
            name, {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES"}[type(value)], value
        )
        for name, value in EVENT.items()
    ]
    said = {REQUEST_TYPE: {"inputs": inputs}, RESPONSE_TYPE: {"predictions": [1]}}
    calls = [
        (REQUEST_TYPE, "a"),
        (REQUEST_TYPE, "b"),
        (RESPONSE_TYPE, "a"),
        (RESPONSE_TYPE, "c"),
    ]
    lines = [
        line(
            {
                "partition": 0,
                "offset": at,
                "timestamp": START_MS,
                "headers": {k: (v or b"").decode() for k, v in logged_headers(kind, name)},
                "value": json.dumps(said[kind]),
            }
        )
        for at, (kind, name) in enumerate(calls)
    ]

    report = bench.replay(bench.write("e.jsonl", lines), batch=1, input={"format": "kserve"})

    (decision,) = bench.decisions
    assert (decision["event_id"], decision["label"]) == ("a", "approve")
    assert decision["id"].endswith("-0-2")
    assert [each["offset"] for each in bench.letters] == [1, 3]
    assert report.rejections == {"no_response": 1, "no_request": 1}
    assert report.records == RecordCounts(
        received=4, decided=1, rejected=2, tombstones=0, joined=1
    )


def test_columns_are_those_of_decisions_whatever_is_on_the_topic(bench: Bench) -> None:
    source = bench.write("e.jsonl", [line(event("a"))])

    bench.replay(source, output={"format": "oip"}, decisions="decisions.parquet")

    (row,) = parquet.read_table(bench.folder / "decisions.parquet").to_pylist()
    assert (row["event_id"], row["source"], row["offset"]) == ("a", "default", 0)


def test_the_model_may_take_its_time_unless_asked_otherwise(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run takes a fifth of a second; the config allows a millisecond."""
    run = OnnxModel.run

    def slow(*arguments: Any) -> RawOutputs:
        time.sleep(0.2)
        return run(*arguments)

    monkeypatch.setattr(OnnxModel, "run", slow)
    path = bench.write("e.jsonl", [line(event(f"e{at}", amount=100)) for at in range(400)])

    calm = bench.replay(path)
    hurried = bench.replay(path, as_live=True)

    assert calm.reasons == {"confident": 400}
    assert hurried.reasons == {"model_timeout": 400}


# --- records -------------------------------------------------------------------------------


def test_records_keep_their_place_key_and_headers(bench: Bench) -> None:
    record = {
        "topic": "elsewhere",
        "partition": 5,
        "offset": 77,
        "timestamp": START_MS,
        "key": "k",
        "headers": {"ce_id": "x", "trace": "t"},
        "value": BAD.decode(),
    }
    good = {**record, "offset": 78, "headers": None, "value": event()}
    null = {**record, "offset": 79, "value": None}

    report = bench.replay(bench.write("r.jsonl", [line(record), line(good), line(null)]))

    (letter,) = bench.letters
    error = {
        "code": "malformed_json",
        "stage": "decode",
        "topic": "elsewhere",
        "partition": "5",
        "offset": "77",
        "timestamp": str(START_MS),
        "attempts": "1",
    }
    assert {
        name: letter[name] for name in ("topic", "partition", "offset", "key", "value")
    } == {name: record[name] for name in ("topic", "partition", "offset", "key", "value")}
    assert letter["headers"].items() >= {"ce_id": "x", "trace": "t"}.items()
    assert (
        letter["headers"].items() >= {f"sidecar.error.{k}": v for k, v in error.items()}.items()
    )
    assert [each["id"].split("-", 1)[1] for each in bench.decisions] == ["5-78"]
    assert report.records == RecordCounts(received=3, decided=1, rejected=1, tombstones=1)


def test_dead_letters_can_be_replayed_once_they_are_mended(bench: Bench) -> None:
    path = bench.write("e.jsonl", [line(event("a")), line({**event("b"), "id": 5}), BAD])
    bench.replay(path)
    mended = [{**bench.letters[0], "value": event("b")}, bench.letters[1]]

    report = bench.replay(bench.write("mended.jsonl", list(map(line, mended))))

    assert [each["event_id"] for each in bench.decisions] == ["b"]
    assert report.rejections == {"malformed_json": 1}
    assert bench.letters[0]["headers"]["sidecar.error.attempts"] == "2"


def test_a_line_that_is_no_record_counts_as_an_event(bench: Bench) -> None:
    lines = [*stream(0, 1), BAD, line({"offset": 1}), line(event("bare"))]

    report = bench.replay(bench.write("r.jsonl", lines))

    assert report.rejections == {"malformed_json": 1, "missing_field": 1}
    assert [each["event_id"] for each in bench.decisions] == ["0-0", "bare"]


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**16), batch=st.sampled_from([1, 2, 17, 100, 4_096]))
def test_how_partitions_interleave_and_batches_end_decides_nothing(
    bench: Bench, seed: int, batch: int
) -> None:
    """Windows end at the newest event of all, and lateness goes by the order in a partition."""
    streams = [stream(partition, 120) for partition in range(3)]
    reference = bench.replay(bench.write("r.jsonl", list(chain(*streams))))
    expected = by_partition(bench.decisions), reference.monitors, reference.quality
    dice = random.Random(seed)
    left = [list(part) for part in streams]
    mixed = []
    while any(left):
        part = dice.choice([part for part in left if part])
        take = dice.choice((1, 5, 60))
        mixed += part[:take]
        del part[:take]

    report = bench.replay(bench.write("r.jsonl", mixed), batch=batch)

    assert (by_partition(bench.decisions), report.monitors, report.quality) == expected
    assert report.monitors.late > 0


def by_partition(decisions: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for decision in decisions:
        found.setdefault(decision["id"].split("-")[1], []).append(decision)
    return found


# --- tables --------------------------------------------------------------------------------


def test_a_table_gives_what_its_events_would_give(bench: Bench) -> None:
    rows = credit_rows(300, seed=3)
    for at, row in enumerate(rows):
        row["time"], row["who"] = START_MS + at * 1_000, f"e{at}"
    names = [*EVENT]
    events = [
        {"id": row["who"], "time": row["time"], "features": {n: row[n] for n in names}}
        for row in rows
    ]
    lines = bench.replay(bench.write("e.jsonl", list(map(line, events))))
    decided = bench.decisions

    columns = TableColumns(id="who", time="time", key="segment")
    table = bench.replay(
        write_csv(bench.folder / "t.csv", rows), columns, input={"format": "msgpack"}
    )

    # Keys let the cache answer, and that is all the difference.
    answered = [each for each in bench.decisions if each["source"] != "cache"]
    assert answered == [each for each in decided if each["id"] in {a["id"] for a in answered}]
    assert table.sources["cache"] > 0
    assert (table.records, table.monitors.windows[1].records) == (lines.records, 300)
    assert table.notes == ("columns that are no feature are ignored: decision",)


# --- the report ----------------------------------------------------------------------------


def test_the_report_holds_all_counts_and_the_same_bytes_each_time(bench: Bench) -> None:
    path = bench.write("r.jsonl", stream(0, 400))

    report = bench.replay(path)
    files = bench.files()
    bench.replay(path)

    assert bench.files() == files
    written = json.loads(files["report.json"])
    assert written["records"] == {
        "received": 400,
        "decided": 376,
        "rejected": 14,
        "tombstones": 10,
        "joined": 0,
    }
    assert sum(written["sources"].values()) == sum(written["reasons"].values()) == 376
    assert written["rules"] == {"large": written["sources"]["rule"]}
    assert written["rejections"] == {"malformed_json": 14}
    windows = written["monitors"]["windows"]
    assert [window["window"] for window in windows] == ["5m", "20m"]
    methods = {score["method"] for score in windows[1]["subjects"][0]["scores"]}
    assert methods == {
        "psi",
        "psi_excess",
        "js",
        "hellinger",
        "chi_square",
        "ks",
        "wasserstein",
    }
    assert written["timeline"][-1]["end_ms"] == windows[0]["end_ms"]
    assert report.timeline[-1].windows[1].records == report.monitors.windows[1].records


def test_the_timeline_has_a_point_each_time_and_no_batch_can_move_it(bench: Bench) -> None:
    path = bench.write("r.jsonl", stream(0, 300))

    points = bench.replay(path, every="10m").timeline
    small = bench.replay(path, every="10m", batch=13).timeline

    # Of the panes in a step the first that is over; the first event of all is a late one, and
    # nothing came in the minute before the eightieth.
    minutes = [(point.end_ms - START_MS) // 60_000 for point in points]
    assert minutes == [-2, 1, 10, 20, 30, 40, 50, 60, 70, 81, 90, 100]
    assert small == points
    # Some 13 events in 5 minutes are too few, so the window grows; before the seventieth minute
    # the longest one has too few as well.
    ready = "".join("-+"[point.windows[0].ready] for point in points)
    assert ready == "---+++-+++++"
    assert points[-1].windows[0].records >= 50
    assert points[-1].windows[0].start_ms < points[-1].end_ms - 300_000


def test_without_a_step_the_timeline_stays_short(bench: Bench) -> None:
    events = [{**event(f"e{at}"), "time": START_MS + at * 60_000} for at in range(1_700)]

    points = bench.replay(bench.write("e.jsonl", list(map(line, events)))).timeline

    gaps = {b.end_ms - a.end_ms for a, b in pairwise(points[1:-1])}
    assert 100 < len(points) <= 201
    assert gaps == {16 * 60_000}
    assert points[-1].end_ms == START_MS + 1_700 * 60_000


def test_peaks_are_kept_when_points_are_thinned_out(bench: Bench) -> None:
    """A burst of an hour among 1,700 minutes; the timeline has a point every 16."""
    ages = [90 if 700 <= at < 760 else 30 + at % 30 for at in range(1_700)]
    events = [
        {**event(f"e{at}", age=age), "time": START_MS + at * 60_000}
        for at, age in enumerate(ages)
    ]
    monitors = {"windows": ["5m", "1h"], "min_records": 30}

    report = bench.replay(bench.write("e.jsonl", list(map(line, events))), monitors=monitors)

    (peak,) = [each for each in report.peaks if each.drift.name == "age"]
    shown = [
        score.value
        for point in report.timeline
        for subject in point.windows[1].subjects
        for score in subject.scores
        if (subject.name, score.method) == ("age", "psi")
    ]
    assert peak.window == "1h"
    assert START_MS + 730 * 60_000 < peak.end_ms <= START_MS + 765 * 60_000
    assert peak.drift.scores[0].value >= max(shown)


def test_the_page_and_the_json_are_one_report(bench: Bench) -> None:
    path = bench.write("r.jsonl", stream(0, 400))
    bench.replay(path)
    choice = InputChoice(name=str(path))
    reports = (bench.folder / "a.HTML", bench.folder / "b.json")
    request = ReplayRequest(input=choice, reports=reports)
    kafka = {
        "bootstrap_servers": ["127.0.0.1:1"],
        "security": {
            "protocol": "sasl_plaintext",
            "sasl": {"mechanism": "PLAIN", "username": "u", "password": {"env": "WORD"}},
        },
    }
    config = bench.folder / "sidecar.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"kafka": kafka}))
    loaded = load_settings(config, {"WORD": "hunter2"})

    asyncio.run(replay(loaded, request, clock=FakeClock(), environ={"WORD": "hunter2"}))

    page, tree = (report.read_bytes() for report in reports)
    assert json.loads(tree)["records"]["received"] == 400
    assert page.startswith(b"<!doctype html>")
    assert b"hunter2" not in page + tree


def test_the_text_names_what_drifts_the_worst_first(bench: Bench) -> None:
    rows = credit_rows(800, seed=5)
    events = [
        {
            "id": f"e{at}",
            "time": START_MS + at * 1_000,
            "features": {n: row[n] for n in EVENT} | {"age": row["age"] // 2 + 18},
        }
        for at, row in enumerate(rows)
    ]

    report = bench.replay(bench.write("e.jsonl", [*map(line, events), BAD]))
    text = describe_report(report).splitlines()

    assert text[0] == f"Replay of {bench.folder / 'e.jsonl'} through credit 7"
    assert "  rejected                             1     0.1%" in text
    assert "  malformed_json                       1     0.1%" in text
    table = text.index(next(row for row in text if row.startswith("  name ")))
    worst = text[table + 1].split()
    assert (worst[0], worst[1]) == ("age", "20m")
    assert float(worst[3]) > float(worst[4])
    assert text[-1].endswith("records/s, 0.0 s")


# --- what is refused -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "choice", "finding"),
    [
        ("e.txt", {}, Finding("INPUT", "has an unknown ending `.txt`", "")),
        ("gone", {}, Finding("INPUT", "there is no such file", "")),
        ("gone.jsonl", {}, Finding("gone.jsonl", "cannot be read: No such file", "")),
        ("gone.csv", {}, Finding("gone.csv", "cannot be read: No such file", "")),
        ("e.jsonl", {"begin": "3"}, Finding("--from", "has no meaning for a file", "")),
        (
            "e.jsonl",
            {"columns": TableColumns(id="x")},
            Finding("--id", "has no meaning for a file of events", ""),
        ),
    ],
    ids=["ending", "no ending", "file", "table", "range", "column"],
)
def test_what_cannot_be_meant_is_refused(
    bench: Bench, name: str, choice: dict[str, Any], finding: Finding
) -> None:
    bench.write("e.jsonl", [line(event())])
    bench.write("e.txt", [line(event())])
    bench.replay(bench.folder / "e.jsonl")
    request = ReplayRequest(input=InputChoice(name=str(bench.folder / name), **choice))
    loaded = load_settings(bench.folder / "sidecar.yaml", {})

    with pytest.raises(UserError) as caught:
        asyncio.run(replay(loaded, request, clock=FakeClock(), environ={}))

    (found,) = caught.value.findings
    assert found.path == finding.path
    assert found.message.startswith(finding.message)
    assert found.mend


def test_outputs_are_kept_apart_and_steps_are_no_shorter_than_a_pane(bench: Bench) -> None:
    path = bench.write("e.jsonl", [line(event())])
    bench.replay(path)
    out = bench.folder / "out.jsonl"
    request = ReplayRequest(
        input=InputChoice(name=str(path)),
        decisions=path,
        dead_letters=out,
        reports=(out,),
        every=Duration(1_000),
    )

    with pytest.raises(UserError) as caught:
        asyncio.run(
            replay(
                load_settings(bench.folder / "sidecar.yaml", {}),
                request,
                clock=FakeClock(),
                environ={},
            )
        )

    assert [str(found) for found in caught.value.findings] == [
        "--every: is shorter than `monitors.pane`, 1m (give 1m or more)",
        "--decisions: is the same file as INPUT (name another)",
        "--report: is the same file as --dead-letters (name another)",
        "--report: has an unknown ending: `out.jsonl` (write `.json` or `.html`)",
    ]
    assert path.read_bytes() == line(event()) + b"\n"


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (line(event()), "events"),
        (line({"specversion": "1.0", "data": {}}), "events"),
        (line({"offset": 3, "value": "x"}), "records"),
        (line({"offset": 3, "payload": "x"}), "records"),
        (line({**EVENT, "other": 1}), "table"),
        (line({"other": 1}), "events"),
        (b"[]", "events"),
        (BAD, "events"),
    ],
    ids=["event", "cloud event", "record", "kcat", "row", "other", "no object", "broken"],
)
def test_the_first_line_says_what_the_lines_are(bench: Bench, first: bytes, kind: str) -> None:
    manifest = load_bundle(bench.bundle, max_model_bytes=1 << 20).manifest
    choice = InputChoice(name=str(bench.write("f.jsonl", [b"", first])))

    assert input_format(choice, manifest) == kind
