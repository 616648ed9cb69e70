"""Unit: pipeline.trace_context: what is handed on, and what is none."""

import pytest

from sidecar.pipeline.trace_context import trace_context

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = b"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"


def test_nothing_is_made_of_nothing() -> None:
    assert trace_context(()) == ()
    assert trace_context([("content-type", b"application/json"), ("tracestate", b"a=1")]) == ()


def test_both_headers_go_on_and_no_other() -> None:
    headers = [("k", b"v"), ("tracestate", b"vendor=1"), ("traceparent", PARENT)]

    assert trace_context(headers) == [("traceparent", PARENT), ("tracestate", b"vendor=1")]


def test_the_last_producer_counts() -> None:
    assert trace_context([("traceparent", PARENT), ("traceparent", OTHER)]) == [
        ("traceparent", OTHER)
    ]


def test_the_record_counts_before_the_cloud_event_in_it() -> None:
    of_the_event = [("ce_traceparent", OTHER), ("ce_tracestate", b"vendor=2")]

    assert trace_context(of_the_event) == [
        ("traceparent", OTHER),
        ("tracestate", b"vendor=2"),
    ]
    assert trace_context([*of_the_event, ("traceparent", PARENT)]) == [("traceparent", PARENT)]


def test_a_later_version_may_say_more() -> None:
    later = b"01" + PARENT[2:] + b"-more"

    assert trace_context([("traceparent", later)]) == [("traceparent", later)]


@pytest.mark.parametrize(
    "parent",
    [
        None,
        b"",
        PARENT.upper(),
        PARENT[:-1],
        b"ff" + PARENT[2:],
        b"00-" + b"0" * 32 + PARENT[35:],
        PARENT[:36] + b"0" * 16 + b"-01",
        b" " + PARENT,
        PARENT + b"\n",
    ],
)
def test_what_is_no_context_goes_no_further(parent: bytes | None) -> None:
    assert trace_context([("traceparent", parent), ("tracestate", b"vendor=1")]) == ()


@pytest.mark.parametrize("state", [None, b"", b"a=" + b"1" * 511])
def test_a_state_that_is_none_is_left_out(state: bytes | None) -> None:
    assert trace_context([("traceparent", PARENT), ("tracestate", state)]) == [
        ("traceparent", PARENT)
    ]
