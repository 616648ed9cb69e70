"""Unit: pipeline.oip_response, decisions as responses of the Open Inference Protocol."""

from sidecar.events import Decision
from sidecar.pipeline.oip_response import encode_response

WHOLE = Decision(
    id="d-3-100",
    event_id="e-1",
    event_time="2026-11-01T12:00:00.000Z",
    model="credit",
    version="7",
    source="rule",
    reason="low_confidence",
    label="review",
    score=0.5,
    confidence=0.25,
    rule="large",
    flags=["missing_feature", "future_time"],
)
BARE = Decision(
    "d-3-101", "e-2", "2026-11-01T12:00:00.000Z", "credit", "7", "model", "confident"
)


def test_all_that_a_decision_says_in_one_order() -> None:
    assert encode_response(WHOLE) == (
        b'{"model_name":"credit","model_version":"7","id":"d-3-100",'
        b'"parameters":{"event_id":"e-1","event_time":"2026-11-01T12:00:00.000Z",'
        b'"source":"rule","reason":"low_confidence","rule":"large",'
        b'"flags":"missing_feature,future_time"},'
        b'"outputs":[{"name":"label","datatype":"BYTES","shape":[1],"data":["review"]},'
        b'{"name":"score","datatype":"FP64","shape":[1],"data":[0.5]},'
        b'{"name":"confidence","datatype":"FP64","shape":[1],"data":[0.25]}]}'
    )


def test_what_a_decision_has_not_is_left_out() -> None:
    assert encode_response(BARE) == (
        b'{"model_name":"credit","model_version":"7","id":"d-3-101",'
        b'"parameters":{"event_id":"e-2","event_time":"2026-11-01T12:00:00.000Z",'
        b'"source":"model","reason":"confident"},"outputs":[]}'
    )
