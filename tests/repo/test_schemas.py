"""Repo: the committed schemas are the generated ones, and what is on the wire keeps to them."""

import json
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from sidecar.cli.schema import DOCUMENTS
from sidecar.cli.schema import schema as schema_command
from sidecar.config.describe import describe
from sidecar.config.settings import (
    FallbackSettings,
    OutcomeSettings,
    OutputSettings,
    RuleSettings,
)
from sidecar.config.values import Address, ByteSize, Duration, Secret
from sidecar.events import Decision, Reason, RejectCode, Rejection, ScoreBatch, Stage
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.encode import ERROR_PREFIX, Encoder
from sidecar.pipeline.oip import InferenceRequest, InputTensor
from sidecar.pipeline.oip_response import OutputTensor, encode_response
from sidecar.pipeline.schemas import (
    NAMES,
    DeadLetterHeaders,
    PredictionEvent,
    schema,
    schema_text,
)
from sidecar.pipeline.signature import WireEvent
from tests.event_samples import (
    decode,
    encoded,
    event,
    events,
    features,
    manifest,
    records,
    request,
    tensor,
)

FOLDER = Path(__file__).parents[2] / "schemas"
ENCODER = Encoder(manifest(), "credit.decisions", "credit.dead-letters", "1.2.3")


def valid(name: str, value: object) -> bool:
    return Draft202012Validator(schema(name)).is_valid(value)


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == schema_text(name), "run `make docs`"


def test_no_schema_is_committed_that_nothing_generates() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        each.file for each in DOCUMENTS.values()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize(
    "struct", [PredictionEvent, DeadLetterHeaders, InferenceRequest, InputTensor, OutputTensor]
)
def test_every_field_of_a_schema_is_described(struct: type[msgspec.Struct]) -> None:
    assert set(describe(struct)) == set(struct.__struct_fields__)


def test_the_event_that_is_described_is_the_event_that_is_decoded() -> None:
    assert set(PredictionEvent.__struct_fields__) == set(WireEvent.__struct_fields__)


# --- records ---------------------------------------------------------------------------------

EVENTS: list[dict[str, Any]] = [
    event(),
    event(time=0),
    event(time="2026-11-01T12:00:00Z", model="credit"),
    event(prediction={"label": "approve", "score": 0.5, "confidence": 1, "extra": []}),
    features(verified=None),
    event(whatever={"else": 1}),
]
NO_EVENTS: list[Any] = [
    [],
    {"id": "1"},
    event(id=7),
    event(features=None),
    event(features={"amount": []}),
    event(time=1.5),
    event(time=10**15),
    event(model=7),
    event(prediction={"confidence": 1.5}),
]


@pytest.mark.parametrize("sample", EVENTS, ids=str)
def test_an_event_that_the_schema_allows_is_decoded(sample: dict[str, Any]) -> None:
    assert valid("prediction-event", sample)
    assert decode(encoded(sample)).rejections == []


@pytest.mark.parametrize("sample", NO_EVENTS, ids=str)
def test_an_event_that_the_schema_refuses_is_refused(sample: Any) -> None:
    assert not valid("prediction-event", sample)
    assert len(decode(encoded(sample)).rejections) == 1


@pytest.mark.parametrize(
    "sample",
    [
        request(),
        {**request(), "parameters": {"x": 1}, "outputs": [{"name": "score"}]},
        request(verified=tensor("verified", "BOOL", None, shape=[1, 1])),
        request(age=tensor("age", "UINT8", [40], shape=[1, 1])),
    ],
    ids=str,
)
def test_a_request_that_the_schema_allows_is_decoded(sample: dict[str, Any]) -> None:
    assert valid("inference-request", json.loads(encoded(sample)))
    assert decode(encoded(sample), format="oip").rejections == []


@pytest.mark.parametrize(
    "sample",
    [
        {"id": "e-1"},
        {**request(), "id": 7},
        request(age=tensor("age", "FP16", 40)),
        request(age=tensor("age", "INT64", 40, shape=[1, 1, 1])),
        request(age=tensor("age", "INT64", 40, shape=[-1])),
        request(age=tensor("age", "INT64", {})),
        request(age={"name": "age"}),
    ],
    ids=str,
)
def test_a_request_that_the_schema_refuses_is_refused(sample: Any) -> None:
    assert not valid("inference-request", json.loads(encoded(sample)))
    assert len(decode(encoded(sample), format="oip").rejections) == 1


@pytest.mark.parametrize("form", ["decision", "oip"])
def test_decisions_of_all_sorts_keep_to_their_schema(form: Literal["decision", "oip"]) -> None:
    rules = [RuleSettings(name="large", when={"amount": {"gt": 100}}, label="review", score=1)]
    fallback = FallbackSettings(rules=rules, default=OutcomeSettings())
    sorts = [event(prediction={}), features(amount=500.0), event(time="9999-01-01T00:00:00Z")]
    batch = events(*sorts, event())
    reasons = [Reason.UPSTREAM, Reason.MODEL_ERROR, Reason.CIRCUIT_OPEN, Reason.CONFIDENT]
    said = np.array([0.1, 0.2, np.nan, 0.9])
    scores = ScoreBatch(np.ones(4, np.int32), said, said, np.array(reasons, np.uint8))
    encoder = Encoder(
        manifest(), "decisions", "dead-letters", "1.2.3", OutputSettings(format=form)
    )

    (part,) = encoder.decisions(Decider(manifest(), fallback, 0.5).decide(batch, scores))

    decisions = [json.loads(value or b"") for value in part.values]
    parts = [each.get("parameters", each) for each in decisions]
    assert [each["source"] for each in parts] == ["upstream", "rule", "default", "model"]
    name = "inference-response" if form == "oip" else "decision"
    assert all(valid(name, each) for each in decisions)


@pytest.mark.parametrize(
    "changed",
    [{"source": "oracle"}, {"reason": "because"}, {"event_time": "noon"}, {"score": "high"}],
)
def test_a_decision_with_another_value_is_refused(changed: dict[str, str]) -> None:
    good = Decision("d-1", "e-1", "2026-11-01T12:00:00.000Z", "m", "1", "model", "confident")

    assert valid("decision", msgspec.to_builtins(good))
    assert not valid("decision", msgspec.to_builtins(good) | changed)


@pytest.mark.parametrize(
    ("changed", "of_parameters"),
    [
        ({"outputs": [{"name": "other"}]}, {}),
        ({"outputs": [tensor("score", "FP64", 0.5, 0.5, shape=[1])]}, {}),
        ({"outputs": [tensor("score", "FP64", 0.5, shape=[1, 1])]}, {}),
        ({"outputs": [tensor("score", "FP32", 0.5, shape=[1])]}, {}),
        ({}, {"source": "oracle"}),
        ({}, {"event_time": "noon"}),
    ],
)
def test_a_response_with_another_value_is_refused(
    changed: dict[str, Any], of_parameters: dict[str, str]
) -> None:
    decision = Decision(
        "d-1", "e-1", "2026-11-01T12:00:00.000Z", "m", "1", "model", "confident"
    )
    good = json.loads(encode_response(decision))
    parameters = {"parameters": good["parameters"] | of_parameters}

    assert valid("inference-response", good)
    assert not valid("inference-response", json.loads(encoded(good | parameters | changed)))


def test_headers_of_dead_letters_and_stubs_keep_to_their_schema() -> None:
    rejections = [
        Rejection(row, stage, code, "why")
        for row, (stage, code) in enumerate((s, c) for s in Stage for c in RejectCode)
    ]
    batch = records(*[b"{"] * len(rejections))

    (letters,) = ENCODER.dead_letters(batch, rejections)
    (stubs,) = ENCODER.stubs(batch, rejections)

    names = {f"{ERROR_PREFIX}{field}" for field in DeadLetterHeaders.__struct_fields__}
    for part, wanted in (
        (letters, names),
        (stubs, set(schema("dead-letter-headers")["required"])),
    ):
        for headers in part.headers or ():
            named = {name: (text or b"").decode() for name, text in headers}
            assert set(named) == wanted
            assert valid("dead-letter-headers", named)
    assert not valid("dead-letter-headers", named | {"sidecar.error.code": "other"})


# --- the config ------------------------------------------------------------------------------

CONFIG: dict[str, Any] = {
    "kafka": {"bootstrap_servers": ["broker:9092"]},
    "topics": {"events": "credit.events"},
    "model": {"bundle": "models/credit/7"},
}


def test_the_smallest_config_keeps_to_the_schema() -> None:
    assert valid("config", CONFIG)


@pytest.mark.parametrize(
    ("section", "key", "good", "bad"),
    [
        ("model", "timeout", "1.5s", "soon"),
        ("model", "linger", 0, 5),
        ("model", "threads", "auto", "many"),
        ("model", "max_bytes", "10MB", "10 apples"),
        ("limits", "max_record_bytes", 1024, -1),
        ("http", "admin", "[::1]:9465", "9465"),
        ("log", "level", "debug", "loud"),
        ("confidence", "threshold", {"target_error": 0.05}, {"target_error": 2}),
        ("fallback", "rules", [{"name": "r", "when": {"a": {"gt": 1}}}], [{"when": {}}]),
        ("monitors", "windows", ["5m"], []),
        ("monitors", "pane", "1m", "1 fortnight"),
    ],
)
def test_a_setting(section: str, key: str, good: object, bad: object) -> None:
    def having(value: object) -> dict[str, Any]:
        return {**CONFIG, section: {**CONFIG.get(section, {}), key: value}}

    assert valid("config", having(good))
    assert not valid("config", having(bad))
    assert not valid("config", {**CONFIG, section: {**CONFIG.get(section, {}), "kye": 1}})


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (Duration, ["5s", "1.5 h", "250ms", 0, "0s", "5", "s", "", "-1s", "1e3s", 5, None]),
        (ByteSize, ["1MiB", "10 kB", "7", 7, 0, "1.5GiB", "1 apple", "", -1, None]),
        (Address, ["127.0.0.1:1", "[::1]:1", "host:9465", "9465", ":1", "a b:1", "::1:1", 7]),
        (
            Secret,
            [
                {"file": "/run/s"},
                {"env": "S"},
                {"file": ""},
                {"file": "a", "env": "b"},
                "s3cret",
                {},
            ],
        ),
    ],
)
def test_a_value_is_read_exactly_when_the_schema_allows_it(
    kind: type[Duration | ByteSize | Address | Secret], texts: list[Any]
) -> None:
    places = {Duration: "model/timeout", ByteSize: "model/max_bytes", Address: "http/admin"}
    place, _, key = places.get(kind, "sasl/password").partition("/")

    for text in texts:
        section: dict[str, Any] = {**CONFIG.get(place, {}), key: text}
        config = {**CONFIG, place: section}
        if kind is Secret:
            sasl = {"mechanism": "PLAIN", "password": text}
            security = {"protocol": "sasl_ssl", "sasl": sasl}
            config = {**CONFIG, "kafka": {**CONFIG["kafka"], "security": security}}
        try:
            kind.parse(text)
        except ValueError:
            assert not valid("config", config), text
        else:
            assert valid("config", config), text


def test_settings_are_described_with_their_defaults() -> None:
    pane = schema("config")["$defs"]["MonitorSettings"]["properties"]["pane"]

    assert pane["default"] == "1m"
    assert pane["description"].startswith("Slice of event time")


# --- the command -----------------------------------------------------------------------------


def test_the_command_prints_one_or_all_or_writes_files(tmp_path: Path) -> None:
    def output(*arguments: str) -> str:
        result = CliRunner().invoke(schema_command, arguments)
        assert result.exit_code == 0
        return result.output

    assert output("decision") == schema_text("decision")
    assert output("asyncapi").startswith("asyncapi: 3.")
    assert json.loads(output()) == {name: each.tree() for name, each in DOCUMENTS.items()}
    assert output("--write", str(tmp_path / "schemas")) == ""
    assert {path.name: path.read_text() for path in (tmp_path / "schemas").iterdir()} == {
        each.file: each.text() for each in DOCUMENTS.values()
    }
    assert CliRunner().invoke(schema_command, ["nonsense"]).exit_code == 2
