"""Unit: pipeline.kserve, single records of KServe's payload log."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from sidecar.bundle.manifest import Manifest, Task
from sidecar.config.settings import InputSettings, KServeSettings, LimitSettings
from sidecar.events import UpstreamPrediction
from sidecar.pipeline.kserve import REQUEST_TYPE, RESPONSE_TYPE, LogReader
from sidecar.pipeline.refusal import RefusedError
from tests.event_samples import (
    GOOD,
    decode,
    encoded,
    event,
    manifest,
    request,
    tensor,
)
from tests.kserve_samples import logged_headers

EXPECTED = decode(encoded(event())).events.features.matrix.tolist()
ROW = [12.5, 40, True, "DE"]


def reader(of: Manifest | None = None, **kserve: Any) -> LogReader:
    settings = InputSettings(format="kserve", kserve=KServeSettings(**kserve))
    return LogReader(of or manifest(), settings, LimitSettings())


def features(body: Any) -> dict[str, Any]:
    content = reader().read(encoded(body), logged_headers(REQUEST_TYPE, "c-1")).content
    assert not isinstance(content, UpstreamPrediction)
    said: dict[str, Any] = msgspec.to_builtins(content.features)
    return said


def answer(body: Any, of: Manifest | None = None, **kserve: Any) -> Any:
    """Give (label, score) of a response."""
    content = (
        reader(of, **kserve).read(encoded(body), logged_headers(RESPONSE_TYPE, "c-1")).content
    )
    assert isinstance(content, UpstreamPrediction)
    assert content.confidence is None
    return content.label, content.score


def refused(kind: str, body: Any, of: Manifest | None = None) -> tuple[str, str]:
    value = body if isinstance(body, bytes) else encoded(body)
    with pytest.raises(RefusedError) as caught:
        reader(of).read(value, logged_headers(kind, "c-1"))
    return caught.value.code, caught.value.path


# --- requests --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": request()["inputs"]},
        {"instances": [ROW]},
        {"instances": [[12.5, 40.0, 1, "DE"]]},
        {"instances": [dict(GOOD)]},
        {"instances": [{**GOOD, "age": 40.0, "more": "x"}]},
    ],
    ids=["V2", "V1 in order", "V1 of numbers", "V1 by name", "V1 with more"],
)
def test_the_features_of_a_request(body: Any) -> None:
    assert features(body) == GOOD


def test_id_and_time_are_those_of_the_cloud_event() -> None:
    headers = [*logged_headers(REQUEST_TYPE, "c-1"), ("ce_time", b"2026-11-01T12:00:00Z")]

    said = reader().read(encoded({"instances": [ROW]}), headers)

    assert (said.id, said.time) == ("c-1", datetime(2026, 11, 1, 12, tzinfo=UTC))


def test_a_structured_cloud_event() -> None:
    envelope = {"specversion": "1.0", "id": "c-1", "source": "/s", "type": REQUEST_TYPE}

    said = reader().read(encoded({**envelope, "data": {"instances": [ROW]}}), ())

    assert said.id == "c-1"


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"instances": []}, "not_one_row", "$.instances"),
        ({"instances": [ROW, ROW]}, "not_one_row", "$.instances"),
        ({"instances": [ROW[:3]]}, "invalid_tensor", "$.instances[0]"),
        ({"instances": [[12.5, 40.5, True, "DE"]]}, "wrong_type", "$.instances[0][1]"),
        ({"instances": [[12.5, 40, 2, "DE"]]}, "wrong_type", "$.instances[0][2]"),
        ({"instances": [["x", 40, True, "DE"]]}, "wrong_type", "$.instances[0][0]"),
        ({"instances": [[12.5, 151, True, "DE"]]}, "out_of_limits", "$.instances[0][1]"),
        ({"instances": [[None, 40, True, "DE"]]}, "missing_feature", "$.instances[0][0]"),
        ({"instances": [{"age": 40, "country": "DE"}]}, "missing_feature", "$.instances[0]"),
        ({"instances": [{**GOOD, "age": "x"}]}, "wrong_type", "$.instances[0].age"),
        ({"instances": [7]}, "wrong_type", "$.instances[0]"),
        ({"instances": {}}, "wrong_type", "$.instances"),
        ({"inputs": []}, "missing_feature", "$.inputs"),
        ({"outputs": []}, "missing_field", "$.inputs"),
        (b"{", "malformed_json", "$"),
        (b"", "empty", "$"),
        (b"\x00\x00\x00\x00\x01{}", "registry_prefix", "$"),
        (b"[" * 50, "too_deep", "$"),
        (b" " * (1 << 21), "too_large", "$"),
    ],
    ids=lambda each: repr(each)[:40] if not isinstance(each, str) else None,
)
def test_a_request_is_refused(body: Any, code: str, path: str) -> None:
    assert refused(REQUEST_TYPE, body) == (code, path)


def test_a_cloud_event_of_another_type_is_refused() -> None:
    assert refused("org.shop.order", {"instances": [ROW]}) == ("unsupported_format", "$")


def test_what_is_no_cloud_event_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        reader().read(encoded(event()), ())
    assert (caught.value.code, caught.value.path) == ("missing_field", "$.specversion")


# --- responses -------------------------------------------------------------------------------

THREE = manifest(task=Task.MULTICLASS, labels=("low", "middle", "high"))
VALUE = manifest(task=Task.REGRESSION, labels=())
NAMED = msgspec.structs.replace(
    manifest(), model=msgspec.structs.replace(manifest().model, classes=(10, 20))
)


def outputs(*tensors: dict[str, Any]) -> dict[str, Any]:
    return {"outputs": tensors}


SHARES = tensor("probabilities", "FP32", 0.25, 0.75, shape=[1, 2])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (outputs(tensor("label", "BYTES", "approve"), SHARES), ("approve", 0.75)),
        (outputs(tensor("label", "BYTES", "other"), SHARES), ("other", 0.75)),
        (outputs(tensor("predict", "INT64", 0), SHARES), ("refuse", 0.75)),
        (outputs(tensor("predict", "FP32", 0.0)), ("refuse", None)),
        (outputs(SHARES), ("approve", 0.75)),
        (outputs(tensor("score", "FP32", 0.25)), ("refuse", 0.25)),
        (outputs(tensor("output-0", "INT64", 1)), ("approve", None)),
        (outputs(tensor("output-0", "BYTES", "approve")), ("approve", None)),
        (outputs(tensor("output-0", "FP32", 0.25, 0.75, shape=[1, 2])), ("approve", 0.75)),
        (outputs(tensor("more", "FP16", 7, shape=[9]), SHARES), ("approve", 0.75)),
        ({"predictions": [1]}, ("approve", None)),
        ({"predictions": ["refuse"]}, ("refuse", None)),
        ({"predictions": [0.75]}, ("approve", 0.75)),
        ({"predictions": [[0.75, 0.25]]}, ("refuse", 0.25)),
    ],
    ids=str,
)
def test_what_a_binary_model_said(body: Any, said: Any) -> None:
    assert answer(body) == said


def test_the_score_of_several_classes_is_that_of_the_chosen_one() -> None:
    shares = tensor("predict_proba", "FP64", [0.2, 0.5, 0.3], shape=[1, 3])

    assert answer(outputs(shares), THREE) == ("middle", 0.5)
    assert answer(outputs(tensor("predict", "INT64", 2), shares), THREE) == ("high", 0.3)
    assert answer(outputs(tensor("label", "BYTES", "other"), shares), THREE) == ("other", None)


@pytest.mark.parametrize(
    "body", [outputs(tensor("output-0", "FP32", [7.5], shape=[1, 1])), {"predictions": [7.5]}]
)
def test_the_score_of_a_regression_is_its_value(body: Any) -> None:
    assert answer(body, VALUE) == (None, 7.5)


def test_a_whole_number_is_a_value_of_a_regression_too() -> None:
    assert answer({"predictions": [7]}, VALUE) == (None, 7.0)


def test_classes_of_the_graph_stand_for_their_labels() -> None:
    assert answer({"predictions": [20]}, NAMED) == ("approve", None)
    assert refused(RESPONSE_TYPE, {"predictions": [1]}, NAMED) == (
        "wrong_type",
        "$.predictions[0]",
    )


def test_classes_that_are_texts_leave_numbers_to_be_indices() -> None:
    model = msgspec.structs.replace(manifest().model, classes=("no", "yes"))
    of = msgspec.structs.replace(manifest(), model=model)

    said = [answer({"predictions": [each]}, of)[0] for each in (1, "yes", "other")]

    assert said == ["approve", "approve", "other"]


def test_outputs_are_found_by_the_names_in_the_settings() -> None:
    body = outputs(tensor("klass", "INT64", 0), tensor("p", "FP32", 0.5), SHARES)

    assert answer(body, label_outputs=["klass"], score_outputs=["p"]) == ("refuse", 0.5)


def test_the_version_is_that_of_the_response() -> None:
    body = {**outputs(SHARES), "model_version": "6b"}

    content = reader().read(encoded(body), logged_headers(RESPONSE_TYPE, "c-1")).content

    assert content == UpstreamPrediction(label="approve", score=0.75, version="6b")


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        ({"error": "no such model"}, "missing_field", "$.outputs"),
        (outputs(), "missing_field", "$.outputs"),
        (outputs(tensor("a", "FP32", 1), tensor("b", "FP32", 1)), "missing_field", "$.outputs"),
        (outputs(tensor("a", "FP16", 1)), "unsupported_format", "$.outputs[0].datatype"),
        (
            outputs(tensor("a", "INT64", 0, 1, shape=[2])),
            "not_one_row",
            "$.outputs[0].shape[0]",
        ),
        (
            outputs(tensor("a", "FP32", *[0.1] * 4, shape=[2, 2])),
            "not_one_row",
            "$.outputs[0].shape[0]",
        ),
        (outputs(tensor("a", "INT64", 2)), "wrong_type", "$.outputs[0].data[0]"),
        (outputs(tensor("a", "INT64", -1)), "wrong_type", "$.outputs[0].data[0]"),
        (outputs(tensor("a", "BOOL", True)), "wrong_type", "$.outputs[0].data[0]"),
        (outputs(tensor("a", "INT64", None)), "wrong_type", "$.outputs[0].data[0]"),
        (
            outputs(tensor("a", "INT64", 0, 1, shape=[1, 2])),
            "invalid_tensor",
            "$.outputs",
        ),
        (
            outputs(tensor("a", "FP32", *[0.1] * 3, shape=[1, 3])),
            "invalid_tensor",
            "$.outputs",
        ),
        (outputs(tensor("a", "FP32", "x")), "wrong_type", "$.outputs[0].data[0]"),
        (outputs(tensor("a", "FP32", 10**400)), "number_out_of_range", "$.outputs[0].data[0]"),
        ({"predictions": []}, "not_one_row", "$.predictions"),
        ({"predictions": [0, 1]}, "not_one_row", "$.predictions"),
        ({"predictions": [None]}, "wrong_type", "$.predictions[0]"),
        ({"predictions": [[]]}, "invalid_tensor", "$.predictions[0]"),
        ({"predictions": [{}]}, "wrong_type", "$.predictions[0]"),
    ],
    ids=lambda each: repr(each)[:60] if not isinstance(each, str) else None,
)
def test_a_response_is_refused(body: Any, code: str, path: str) -> None:
    assert refused(RESPONSE_TYPE, body) == (code, path)


@pytest.mark.parametrize("said", [[], ["x"], [[1.0, 2.0]]], ids=["none", "a text", "two"])
def test_a_response_of_a_regression_is_refused(said: Any) -> None:
    code, path = refused(RESPONSE_TYPE, {"predictions": said}, VALUE)

    assert code in ("not_one_row", "wrong_type", "invalid_tensor")
    assert path.startswith("$.predictions")
