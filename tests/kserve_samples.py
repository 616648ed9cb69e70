"""Records as KServe's payload logger writes them, for a model with one feature, `amount`."""

import json
from typing import Any

from sidecar.events import Headers
from sidecar.pipeline.kserve import REQUEST_TYPE, RESPONSE_TYPE
from tests.event_samples import tensor
from tests.fakes import Stored

FIRST_MS = 1_800_000_000_000


def logged_headers(kind: str, name: str) -> Headers:
    """The headers of the CloudEvent; the content type is the caller's, and often wrong."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", name.encode()),
        ("ce_source", b"http://localhost:9081/"),
        ("ce_type", kind.encode()),
        ("ce_inferenceservicename", b"credit"),
        ("ce_namespace", b"default"),
        ("ce_component", b"predictor"),
        ("content-type", b"application/x-www-form-urlencoded"),
    ]


def logged(kind: str, name: str, body: Any, at_s: float = 0.0) -> Stored:
    """One record, `at_s` after the first instant."""
    key = f"{name}-{kind.rpartition('.')[2]}".encode()
    value = json.dumps(body).encode()
    return Stored(key, value, logged_headers(kind, name), FIRST_MS + round(at_s * 1000))


def asked(name: str, amount: float = 95.0, at_s: float = 0.0) -> Stored:
    """A request."""
    said = tensor("X", "FP32", amount, shape=[1, 1])
    return logged(REQUEST_TYPE, name, {"inputs": [said]}, at_s)


def answered(name: str, label: int = 1, at_s: float = 0.0) -> Stored:
    """A response, of version 6b."""
    outputs = [
        tensor("predict", "INT64", label),
        tensor("predict_proba", "FP64", [0.25, 0.75], shape=[1, 2]),
    ]
    return logged(RESPONSE_TYPE, name, {"model_version": "6b", "outputs": outputs}, at_s)
