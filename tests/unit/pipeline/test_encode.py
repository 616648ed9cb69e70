"""Unit: pipeline.encode."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from sidecar.config.settings import OutputSettings
from sidecar.events import (
    Decision,
    DecisionBatch,
    Headers,
    OutboundSlice,
    Reason,
    RejectCode,
    Rejection,
    Source,
    Span,
    Stage,
)
from sidecar.pipeline.encode import Encoder
from sidecar.pipeline.oip_response import encode_response
from tests.event_samples import NOON_MS, decoder, encoded, event, events, manifest, records

ENCODER = Encoder(manifest(), "credit.decisions", "credit.dead-letters", "1.2.3")


def decided(*of: dict[str, Any], **columns: Any) -> DecisionBatch:
    """Decisions of the model for `approve`, with some columns replaced."""
    batch = events(*of)
    count = len(batch)
    whole = DecisionBatch(
        events=batch,
        label=np.full(count, 1, np.int32),
        answer=np.full(count, 1, np.int32),
        score=np.full(count, 0.75),
        confidence=np.full(count, 0.75),
        source=np.full(count, Source.MODEL, np.uint8),
        reason=np.full(count, Reason.CONFIDENT, np.uint8),
        rule=np.full(count, -1, np.int32),
        vocabulary=("refuse", "approve"),
        rules=("large",),
    )
    return replace(whole, **columns)


def values(batch: DecisionBatch) -> list[dict[str, Any]]:
    (part,) = ENCODER.decisions(batch)
    return [msgspec.json.decode(value or b"") for value in part.values]


def test_a_decision_says_what_was_decided_by_what_and_why() -> None:
    (part,) = ENCODER.decisions(decided(event(time=NOON_MS - 1)))

    identity = msgspec.json.decode(part.values[0] or b"", type=Decision).id
    assert part == OutboundSlice(
        topic="credit.decisions",
        partition=3,
        keys=[b"k-0"],
        values=[
            b'{"id":"%s","event_id":"e-1","event_time":"2026-11-01T11:59:59.999Z",'
            b'"model":"credit","version":"7","source":"model","reason":"confident",'
            b'"label":"approve","score":0.75,"confidence":0.75}' % identity.encode()
        ],
        headers=None,
        rows=[0],
    )


def test_an_id_says_where_the_event_was_and_which_model_decided() -> None:
    batch = decided(event(), event())
    (first, second) = (value["id"] for value in values(batch))
    digest = first.partition("-")[0]

    assert (first, second) == (f"{digest}-3-100", f"{digest}-3-101")
    assert len(digest) == 16
    assert values(batch)[0]["id"] == first


@pytest.mark.parametrize("changed", ["topic", "model", "version"])
def test_an_id_differs_by_topic_model_and_version(changed: str) -> None:
    batch, of = decided(event()), manifest()
    if changed == "topic":
        batch = replace(
            batch,
            events=replace(batch.events, records=replace(batch.events.records, topic="t")),
        )
    elif changed == "model":
        of = msgspec.structs.replace(of, name="other")
    else:
        of = msgspec.structs.replace(of, version="8")

    (part,) = Encoder(of, "credit.decisions", "credit.dead-letters", "1.2.3").decisions(batch)

    assert msgspec.json.decode(part.values[0] or b"")["id"] != values(decided(event()))[0]["id"]


def test_numbers_have_six_decimals_and_what_is_no_number_is_left_out() -> None:
    batch = decided(
        *[event()] * 4,
        score=np.array([1 / 3, np.nan, np.inf, 2.0]),
        confidence=np.array([0.1234567, 0.5, np.nan, np.nan]),
    )

    assert [(v.get("score"), v.get("confidence")) for v in values(batch)] == [
        (0.333333, 0.123457),
        (None, 0.5),
        (None, None),
        (2.0, None),
    ]
    assert "score" not in values(batch)[1]


def test_a_rule_is_named_and_a_decision_without_label_has_none() -> None:
    batch = decided(
        event(),
        label=np.array([-1], np.int32),
        source=np.array([Source.RULE], np.uint8),
        reason=np.array([Reason.CIRCUIT_OPEN], np.uint8),
        rule=np.array([0], np.int32),
    )

    (value,) = values(batch)
    assert (value["source"], value["reason"], value["rule"]) == (
        "rule",
        "circuit_open",
        "large",
    )
    assert "label" not in value


def test_flags_name_the_faults_that_did_not_stop_the_decision() -> None:
    late, lacking = {"time": NOON_MS + 10**7}, {"features": {"age": 1}}

    batch = decided(event(), event(**late), event(**lacking), event(**late, **lacking))
    missing = np.array([False, False, True, True])
    batch = replace(batch, events=replace(batch.events, missing=missing))

    assert [value.get("flags") for value in values(batch)] == [
        None,
        ["future_time"],
        ["missing_feature"],
        ["missing_feature", "future_time"],
    ]


def test_the_version_is_that_of_who_decided_upstream() -> None:
    batch = decided(event(prediction={"version": "6"}), event(prediction={}), event())

    assert [value["version"] for value in values(batch)] == ["6", "7", "7"]


SPANS = (Span(0, 0, 2), Span(4, 2, 3), Span(5, 3, 5))


def test_responses_differ_from_decisions_in_their_values_alone() -> None:
    batch = decided(event(), event(id="e-2"), score=np.array([0.5, np.nan]))
    topics = ("credit.decisions", "credit.dead-letters")
    encoder = Encoder(manifest(), *topics, "1.2.3", OutputSettings(format="oip"))

    (part,), (bare,) = encoder.decisions(batch), ENCODER.decisions(batch)

    decisions = [msgspec.json.decode(value or b"", type=Decision) for value in bare.values]
    assert part == replace(bare, values=[encode_response(each) for each in decisions])


def test_each_partition_has_its_slice_with_the_keys_of_its_events() -> None:
    batch = events(*[event()] * 5, spans=SPANS, keys=[b"a", None, b"\x00", b"d", b"a"]).take(
        np.array([0, 1, 3, 4])
    )

    slices = ENCODER.decisions(replace(decided(*[event()] * 4), events=batch))

    assert [(part.partition, part.rows, part.keys) for part in slices] == [
        (0, [0, 1], [b"a", None]),
        (5, [3, 4], [b"d", b"a"]),
    ]


def test_no_decisions_give_no_slices() -> None:
    assert ENCODER.decisions(decided()) == []


# --- dead letters ----------------------------------------------------------------------------

WRONG = Rejection(0, Stage.DECODE, RejectCode.WRONG_TYPE, "Expected `str`", "$.id")


def said(headers: Headers) -> dict[str, str]:
    return {name: (text or b"").decode() for name, text in headers}


def test_a_dead_letter_is_the_record_and_why() -> None:
    original = [("traceparent", b"00-1"), ("empty", None)]
    batch = records(b"\xff\x00", headers=[original], keys=[b"\xfe"])

    (part,) = ENCODER.dead_letters(batch, [WRONG])

    assert (part.topic, part.partition, part.rows) == ("credit.dead-letters", 3, [0])
    assert (part.keys, part.values) == ([b"\xfe"], [b"\xff\x00"])
    assert part.headers == [
        [
            *original,
            ("sidecar.error.code", b"wrong_type"),
            ("sidecar.error.stage", b"decode"),
            ("sidecar.error.message", b"Expected `str`"),
            ("sidecar.error.path", b"$.id"),
            ("sidecar.error.topic", b"credit.events"),
            ("sidecar.error.partition", b"3"),
            ("sidecar.error.offset", b"100"),
            ("sidecar.error.timestamp", b"1793534400000"),
            ("sidecar.error.attempts", b"1"),
            ("sidecar.error.version", b"1.2.3"),
        ]
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"1", "2"), (b"41", "42"), (b"many", "1"), (b"", "1"), (None, "1"), (b"9" * 5000, "1")],
    ids=["1", "41", "no number", "empty", "null", "too long"],
)
def test_attempts_count_on_and_earlier_headers_give_way(
    before: bytes | None, after: str
) -> None:
    earlier = [
        ("sidecar.error.code", b"too_deep"),
        ("sidecar.error.attempts", before),
        ("x", b"y"),
    ]
    batch = records(b"{", headers=[earlier])

    (part,) = ENCODER.dead_letters(batch, [WRONG])

    headers = (part.headers or [()])[0]
    assert [name for name, _ in headers].count("sidecar.error.attempts") == 1
    assert said(headers)["sidecar.error.attempts"] == after
    assert said(headers)["sidecar.error.code"] == "wrong_type"
    assert headers[0] == ("x", b"y")


def test_dead_letters_are_grouped_by_partition() -> None:
    batch = records(*[b"{"] * 5, spans=SPANS)
    rejections = [WRONG._replace(row=row) for row in (1, 3, 4)]

    slices = ENCODER.dead_letters(batch, rejections)

    assert [(part.partition, part.rows) for part in slices] == [(0, [1]), (5, [3, 4])]


def test_a_refused_record_of_the_decoder_comes_out_as_it_came_in() -> None:
    batch = records(encoded(event()), b"{", None, b"\xff")
    decoded = decoder().decode(batch)

    (part,) = ENCODER.dead_letters(batch, decoded.rejections)

    assert (part.values, part.keys) == ([b"{", b"\xff"], [b"k-1", b"k-3"])


def test_a_stub_says_where_the_record_is_and_nothing_of_it() -> None:
    batch = records(b"secret", headers=[[("x", b"secret")]], keys=[b"secret"])

    (part,) = ENCODER.stubs(batch, [WRONG])

    assert part == OutboundSlice(
        topic="credit.dead-letters",
        partition=3,
        keys=[None],
        values=[b"{}"],
        headers=[
            [
                ("sidecar.error.code", b"wrong_type"),
                ("sidecar.error.topic", b"credit.events"),
                ("sidecar.error.partition", b"3"),
                ("sidecar.error.offset", b"100"),
            ]
        ],
        rows=[0],
    )
