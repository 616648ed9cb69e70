"""Tests of a config: what passes, what fails and how it says so, what nobody reaches."""

import asyncio
import base64
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from sidecar.app.case_report import Report
from sidecar.app.cases import load_cases
from sidecar.app.outcomes import Difference
from sidecar.app.testing import run_cases
from sidecar.config.load import load_settings
from sidecar.config.settings import InputSettings
from sidecar.errors import BundleError, ConfigError, Finding
from tests.bundle_factory import EVENT, build_credit_bundle, credit_probability
from tests.event_samples import tensor

RULE = {"name": "large", "when": {"amount": {"gt": 5000}}, "label": "review"}
UNSURE = {"label": "approve", "confidence": 0.55}
SURE = {"label": "approve", "confidence": 0.9}
Run = Callable[..., Report]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_credit_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def run(bundle: Path, tmp_path: Path) -> Run:
    """Run tests on a config with a threshold of 0.6, one rule and a default."""

    def run_tests(*tests: dict[str, Any], containing: str = "", **sections: Any) -> Report:
        config: dict[str, Any] = {
            "kafka": {"bootstrap_servers": ["broker:9092"]},
            "topics": {"events": "credit.events"},
            "model": {"bundle": str(bundle)},
            "confidence": {"threshold": 0.6},
            "fallback": {"rules": [RULE], "default": {"label": "decline"}},
        }
        named = [{"name": f"test {at}", **test} for at, test in enumerate(tests)]
        texts = {"sidecar.yaml": config | sections, "sidecar.test.yaml": {"tests": named}}
        for name, tree in texts.items():
            (tmp_path / name).write_text(yaml.safe_dump(tree, sort_keys=False))
        settings = load_settings(tmp_path / "sidecar.yaml", {})
        suite = load_cases(tmp_path / "sidecar.test.yaml", {})
        return asyncio.run(run_cases(settings, suite, containing=containing))

    return run_tests


def event(**features: Any) -> dict[str, Any]:
    return {"id": "e", "features": {**EVENT, **features}}


def differences(report: Report) -> list[Difference]:
    return [found for result in report.results for found in result.differences]


def told(report: Report) -> list[tuple[str, object, object]]:
    return [(each.field, each.expected, each.got) for each in differences(report)]


# --- each kind of expectation -----------------------------------------------------------------

LARGE = {"event": event(amount=9000.0), "stub": UNSURE}
DECIDED = {
    "label": "review",
    "source": "rule",
    "reason": "low_confidence",
    "rule": "large",
    "score": 0.55,
    "confidence": 0.55,
    "flags": [],
}


def test_a_decision_that_is_all_as_expected_passes(run: Run) -> None:
    assert told(run({**LARGE, "expect": DECIDED})) == []


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("label", "approve"),
        ("label", None),
        ("source", "default"),
        ("reason", "model_error"),
        ("rule", None),
        ("score", 0.56),
        ("score", None),
        ("confidence", 0.54),
        ("flags", ["missing_feature"]),
    ],
)
def test_only_the_field_that_differs_is_told(run: Run, field: str, other: object) -> None:
    report = run({**LARGE, "expect": {**DECIDED, field: other}})

    assert told(report) == [(field, other, DECIDED[field])]


def test_an_event_may_be_a_request_of_the_open_inference_protocol(run: Run) -> None:
    types = {float: "FP32", int: "INT64", bool: "BOOL", str: "BYTES"}
    inputs = [
        tensor(name, types[type(value)], value)
        for name, value in (EVENT | {"amount": 9000.0}).items()
    ]

    test = {"event": {"id": "e", "inputs": inputs}, "stub": UNSURE, "expect": DECIDED}

    assert told(run(json.loads(json.dumps(test)), input={"format": "oip"})) == []


def test_what_is_expected_of_a_decision_holds_in_whatever_form_it_is_written(run: Run) -> None:
    assert told(run({**LARGE, "expect": DECIDED}, output={"format": "oip"})) == []


def test_a_config_that_joins_pairs_has_no_tests(run: Run) -> None:
    with pytest.raises(ConfigError) as caught:
        run({**LARGE, "expect": DECIDED}, input={"format": "kserve"})

    (finding,) = caught.value.findings
    assert finding.path == "$.input.format"
    assert "sidecar replay" in finding.mend


def test_numbers_agree_within_their_tolerance(run: Run) -> None:
    near = {"score": 0.56, "confidence": 0.54}

    assert told(run({**LARGE, "expect": {**near, "tolerance": 0.02}})) == []
    assert len(told(run({**LARGE, "expect": {**near, "tolerance": 0.009}}))) == 2


def test_null_expects_that_there_is_none(run: Run) -> None:
    silent = {"event": event(), "stub": {"error": "model_error"}}
    none = {"score": None, "confidence": None, "rule": None}

    assert told(run({**silent, "expect": none})) == []


def test_flags_are_compared_whole_and_in_any_order(run: Run) -> None:
    incomplete = {key: value for key, value in EVENT.items() if key != "age"}
    early = {"id": "e", "time": "2026-03-01T00:00:00Z", "features": incomplete}
    sent = {"event": early, "timestamp": "2026-02-01T00:00:00Z", "stub": SURE}
    both = ["future_time", "missing_feature"]

    report = run(
        {**sent, "expect": {"flags": both}},
        {**sent, "expect": {"flags": ["future_time"]}},
        input={"on_missing": "flag"},
    )

    assert told(report) == [("flags", ["future_time"], ["missing_feature", "future_time"])]


def test_a_dead_letter_is_known_by_code_and_path(run: Run) -> None:
    wrong = {"event": event(amount="nine")}

    report = run(
        {**wrong, "expect": {"rejected": "wrong_type", "path": "$.features.amount"}},
        {**wrong, "expect": {"rejected": "missing_feature"}},
        {**wrong, "expect": {"path": "$.features.age"}},
    )

    assert told(report) == [
        ("rejected", "missing_feature", "wrong_type"),
        ("path", "$.features.age", "$.features.amount"),
    ]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("{", "malformed_json"),
        ("", "empty"),
        ({"base64": "AAAAAAF7fQ=="}, "registry_prefix"),
        ({"base64": "eyJpZCI6Iv8ifQ=="}, "invalid_utf8"),
    ],
)
def test_bytes_that_are_no_event_are_sent_as_they_are(run: Run, raw: Any, code: str) -> None:
    assert told(run({"raw": raw, "expect": {"rejected": code}})) == []


@pytest.mark.parametrize(
    ("raw", "expect"),
    [
        (b"\x00\x00\x00\x00\x11" + json.dumps(event()).encode(), {"label": "approve"}),
        (b"\x00\x00\x00\x00\x11\x06abc", {"rejected": "registry_prefix"}),
    ],
    ids=["JSON", "Avro"],
)
def test_behind_a_registry_s_prefix_json_is_read_without_asking(
    run: Run, raw: bytes, expect: dict[str, Any]
) -> None:
    sent = {"raw": {"base64": base64.b64encode(raw).decode()}, "stub": SURE}

    told_of = run({**sent, "expect": expect}, registry={"url": "http://127.0.0.1:1"})

    assert told(told_of) == []


def test_a_null_event_is_a_tombstone(run: Run) -> None:
    assert told(run({"event": None, "expect": {"tombstone": True}})) == []


@pytest.mark.parametrize(
    ("sent", "expect", "expected", "got"),
    [
        (
            LARGE,
            {"rejected": "wrong_type"},
            "a dead letter",
            "a decision: review by rule `large`, low_confidence",
        ),
        (
            {"event": event(), "stub": SURE},
            {"tombstone": True},
            "a tombstone",
            "a decision: approve by model, confident",
        ),
        (
            {"raw": "{"},
            {"label": "review"},
            "a decision",
            "a dead letter: malformed_json at $: Input data was truncated",
        ),
        ({"event": None}, {"label": "review"}, "a decision", "a tombstone"),
    ],
    ids=["no-rejection", "no-tombstone", "rejected", "tombstone"],
)
def test_another_kind_of_outcome_is_described(
    run: Run, sent: dict[str, Any], expect: dict[str, Any], expected: str, got: str
) -> None:
    assert told(run({**sent, "expect": expect})) == [("outcome", expected, got)]


# --- who answers ------------------------------------------------------------------------------


def test_without_a_stub_the_model_of_the_bundle_answers(run: Run) -> None:
    exact = credit_probability(EVENT)

    report = run(
        {"event": event(), "expect": {"source": "model", "score": exact, "tolerance": 1e-5}}
    )

    assert told(report) == []


def test_the_model_is_opened_only_for_events_without_a_stub(run: Run, tmp_path: Path) -> None:
    broken = build_credit_bundle(tmp_path)
    model, manifest = broken / "model.onnx", broken / "manifest.toml"
    digest = sha256(model.read_bytes()).hexdigest()
    model.write_bytes(b"no model")
    manifest.write_text(manifest.read_text().replace(digest, sha256(b"no model").hexdigest()))
    config = {"model": {"bundle": str(broken)}}

    assert told(run({**LARGE, "expect": DECIDED}, **config)) == []
    with pytest.raises(BundleError):
        run({"event": event(), "expect": {"source": "model"}}, **config)


@pytest.mark.parametrize("error", ["model_error", "model_timeout", "circuit_open"])
def test_an_error_is_the_reason_of_the_decision(run: Run, error: str) -> None:
    sent = {"event": event(), "stub": {"error": error}}

    assert told(run({**sent, "expect": {"source": "default", "reason": error}})) == []


def test_an_error_holds_for_its_own_event(run: Run) -> None:
    failing = [
        {"event": event(), "stub": {"error": error}}
        for error in ["circuit_open", *["model_error"] * 10]
    ]
    expect = [{"reason": each["stub"]["error"]} for each in failing]

    report = run(
        {
            "events": [*failing, {"event": event(), "stub": SURE}],
            "expect": [*expect, {"source": "model"}],
        }
    )

    assert told(report) == []


def test_a_prediction_that_comes_along_needs_no_model(run: Run) -> None:
    sent = {**event(), "prediction": {"label": "approve", "score": 0.7}}

    assert told(run({"event": sent, "expect": {"source": "upstream", "score": 0.7}})) == []


def test_a_confidence_at_the_threshold_is_enough(run: Run) -> None:
    for measure in ("max_probability", "margin", "entropy"):
        report = run(
            {
                "event": event(),
                "stub": {"label": "decline", "confidence": 0.6},
                "expect": {"source": "model", "confidence": 0.6},
            },
            {
                "event": event(),
                "stub": {"label": "decline", "confidence": 0.599},
                "expect": {"source": "default"},
            },
            confidence={"measure": measure, "threshold": 0.6},
        )
        assert told(report) == [], measure


# --- several events ---------------------------------------------------------------------------


def cached(*times: str, key: str = "k") -> list[dict[str, Any]]:
    """A sure answer, then events at these times on which the model is unsure."""
    stubs = [SURE, *[UNSURE] * len(times)]
    return [
        {"key": key, "event": {**event(), "time": f"2026-03-01T{time}Z"}, "stub": stub}
        for time, stub in zip(("09:00:00", *times), stubs, strict=True)
    ]


CACHE = {"cache": {"max_age": "10m"}, "default": {"label": "decline"}}


def test_events_are_decided_in_order_and_by_their_time(run: Run) -> None:
    expect = [{"source": "model"}, {"source": "cache"}, {"source": "default"}]

    report = run({"events": cached("09:10:00", "09:10:01"), "expect": expect}, fallback=CACHE)

    assert (told(report), report.unreached) == ([], ())


def test_a_difference_names_its_event(run: Run) -> None:
    expect = [{"source": "model"}, {"source": "model"}]

    report = run({"events": cached("09:01:00"), "expect": expect}, fallback=CACHE)

    assert told(report) == [("events[1].source", "model", "cache")]


def test_a_test_does_not_see_the_cache_of_the_one_before(run: Run) -> None:
    first, second = cached("09:01:00")

    report = run(
        {**first, "expect": {"source": "model"}},
        {**second, "expect": {"source": "default"}},
        fallback=CACHE,
    )

    assert told(report) == []


# --- records ----------------------------------------------------------------------------------


def test_headers_are_sent(run: Run) -> None:
    marks = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "s", "ce_type": "t"}
    sent = {"event": {"features": EVENT}, "stub": SURE}

    report = run(
        {**sent, "headers": marks, "expect": {"source": "model"}},
        {**sent, "expect": {"rejected": "missing_field", "path": "$.id"}},
    )

    assert told(report) == []


def test_an_event_is_not_in_the_future_of_a_record_without_a_timestamp(run: Run) -> None:
    for time in ("2031-01-01T00:00:00+02:00", 1_900_000_000_000):
        sent = {"event": {**event(), "time": time}, "stub": SURE}
        assert told(run({**sent, "expect": {"flags": []}})) == [], time


def test_a_time_that_is_none_is_left_to_the_decoder(run: Run) -> None:
    sent = {"event": {**event(), "time": "noon"}}

    assert told(run({**sent, "expect": {"rejected": "invalid_time"}})) == []


def test_an_event_is_packed_where_the_config_reads_messagepack(run: Run) -> None:
    packed = {"event": event(), "stub": SURE, "expect": {"source": "model"}}
    text = {"raw": '{"id": "e"}', "expect": {"rejected": "wrong_type"}}

    assert told(run(packed, text, input={"format": "msgpack"})) == []


# --- what is not reached ----------------------------------------------------------------------


def test_what_no_test_reaches_is_found(run: Run) -> None:
    rules = [RULE, {"name": "never", "when": {"amount": {"gt": 9e9}}, "label": "review"}]
    fallback = {"rules": rules, "cache": {}, "default": {"label": "review"}}

    report = run({**LARGE, "expect": DECIDED}, fallback=fallback)

    mend = "write a test that reaches it, or remove it"
    assert report.unreached == (
        Finding("$.fallback.rules[1]", "no test reaches the rule `never`", mend),
        Finding("$.fallback.cache", "no test reaches the cache", mend),
        Finding("$.fallback.default", "no test reaches the default", mend),
    )


def test_what_is_not_configured_need_not_be_reached(run: Run) -> None:
    report = run({"event": event(), "stub": SURE, "expect": {"source": "model"}}, fallback={})

    assert report.unreached == ()


def test_a_part_of_the_tests_says_nothing_about_what_is_reached(run: Run) -> None:
    tests = [
        {"name": "a Large amount", **LARGE, "expect": DECIDED},
        {"name": "other", "event": event(), "stub": SURE, "expect": {"source": "rule"}},
    ]

    report = run(*tests, containing="large")

    assert [result.name for result in report.results] == ["a Large amount"]
    assert (report.failed, report.unreached) == (0, ())


# --- refusals ---------------------------------------------------------------------------------


def test_all_that_does_not_fit_the_config_is_told_with_its_line(run: Run) -> None:
    with pytest.raises(ConfigError) as error:
        run(
            {
                "event": event(),
                "stub": {"label": "approv"},
                "expect": {"rule": "lrage"},
            },
            {
                "events": [LARGE, {**LARGE, "stub": {"confidence": 0.5}}],
                "expect": [DECIDED] * 2,
            },
        )

    assert [(each.path, each.message, each.mend) for each in error.value.findings] == [
        (
            "$.tests[0].stub.label",
            "there is no label of the model `approv`, line 13",
            "did you mean `approve`?",
        ),
        (
            "$.tests[0].expect.rule",
            "there is no rule `lrage`, line 15",
            "did you mean `large`?",
        ),
        (
            "$.tests[1].events[1].stub",
            "says no label, line 31",
            "add `label`, one of decline, approve",
        ),
    ]


def test_a_number_that_messagepack_cannot_hold_is_told(run: Run, tmp_path: Path) -> None:
    run({**LARGE, "expect": DECIDED})
    settings = load_settings(tmp_path / "sidecar.yaml", {})
    packing = msgspec.structs.replace(settings, input=InputSettings(format="msgpack"))
    case = {"name": "n", "event": {"id": 10**30}, "expect": {"rejected": "wrong_type"}}
    path = tmp_path / "large.json"
    path.write_text(json.dumps({"tests": [case]}))

    asyncio.run(run_cases(settings, load_cases(path, {})))
    with pytest.raises(ConfigError) as error:
        asyncio.run(run_cases(packing, load_cases(path, {})))

    mend = "write one of at most 64 bits"
    assert error.value.findings == (
        Finding("$.tests[0].event", "has a number that MessagePack cannot hold", mend),
    )


def test_a_filter_that_fits_no_name_is_refused(run: Run) -> None:
    with pytest.raises(ConfigError, match="no name has `large` in it"):
        run({"name": "small", **LARGE, "expect": DECIDED}, containing="large")
