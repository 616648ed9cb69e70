"""A running sidecar sends spans to a collector, and does its work when there is none."""

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sidecar.clock import SystemClock
from tests.bundle_factory import EVENT
from tests.collector import collecting, said
from tests.integration.conftest import Launch
from tests.integration.monitoring import monitoring, programs
from tests.integration.service import Input, Topics, eventually, good_events

pytestmark = pytest.mark.mock_kafka

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


def test_an_event_is_followed_through_the_spans_to_its_decision(
    mock_topics: Topics, launch: Launch
) -> None:
    with collecting() as collector:
        traces = {"endpoint": collector.url, "interval": "100ms"}
        sidecar = launch(mock_topics, traces=traces).working()
        value = json.dumps({"id": "followed", "features": EVENT}).encode()
        context = (("traceparent", PARENT),)
        mock_topics.send([Input(value, b"k", context, 2), Input(b"{", b"k", context, 1)])

        eventually(lambda: len(links(collector.spans)) == 2, "two links")

        process = [span for span in collector.spans if span.name.startswith("process ")]
        below = {span.name for span in collector.spans if span.parent_span_id}
        assert {span.name for span in process} == {f"process {mock_topics.events}"}
        assert {"decode", "check", "score", "decide", "encode"} < below
        assert f"send {mock_topics.decisions}" in below
        counts = [said(span) for span in process]
        assert sum(each.get("sidecar.decisions.model", 0) for each in counts) == 1
        assert sum(each.get("sidecar.dead_letters.malformed_json", 0) for each in counts) == 1
        assert collector.resource["service.name"] == mock_topics.name

        (decision,) = mock_topics.read(mock_topics.decisions)
        assert dict(decision.headers) == {"traceparent": PARENT}
        assert sidecar.stop() == 0


def links(spans: list[Any]) -> list[str]:
    return [link.trace_id.hex() for span in spans for link in span.links]


@pytest.mark.alertmanager
@pytest.mark.timeout(120)
def test_prometheus_leads_from_the_age_to_the_trace(
    mock_topics: Topics, launch: Launch, tmp_path: Path
) -> None:
    found = programs()
    with collecting() as collector:
        sidecar = launch(mock_topics, traces={"endpoint": collector.url}).working()
        target = urlsplit(sidecar.said("sidecar_started")["metrics_url"]).netloc
        value = json.dumps({"id": "followed", "features": EVENT}).encode()
        began = SystemClock().now_ms() / 1000
        with monitoring(tmp_path, found, {"sidecar": target}) as servers:
            mock_topics.send([Input(value, b"k", (("traceparent", PARENT),))])

            def traces() -> list[str]:
                age = 'sidecar_event_age_seconds_bucket{job="sidecar"}'
                seen = servers.exemplars(age, began - 60, began + 60)
                return [exemplar["labels"]["trace_id"] for exemplar in seen]

            eventually(lambda: traces() == [TRACE], lambda: f"the trace among {traces()}")


def test_a_collector_that_is_away_takes_nothing_from_the_work(
    mock_topics: Topics, launch: Launch
) -> None:
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1/traces"
        traces = {"endpoint": endpoint, "interval": "100ms", "timeout": "1s"}
        sidecar = launch(mock_topics, traces=traces).working()

        mock_topics.send(good_events(200))

        eventually(mock_topics.settled, "all decided")
        eventually(
            lambda: sidecar.sample("sidecar_spans_total", outcome="failed") > 0, "lost spans"
        )
        assert sidecar.stop(within_s=10) == 0
        assert len(mock_topics.read(mock_topics.decisions)) == 200


def test_a_secret_that_is_not_there_stops_the_start_with_its_place(
    mock_topics: Topics, launch: Launch
) -> None:
    headers = [{"name": "api-key", "value": {"env": "NO_SUCH_VARIABLE"}}]
    traces = {"endpoint": "http://127.0.0.1:1/v1/traces", "headers": headers}
    sidecar = launch(mock_topics, traces=traces)

    assert sidecar.ends() == 2
    assert "$.traces.headers[0].value" in sidecar.output
