"""The HTTP API keeps to its OpenAPI document, whatever is asked."""

import asyncio
import http.client
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from uvicorn.protocols.http.h11_impl import H11Protocol

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address, Duration, Secret
from sidecar.telemetry.openapi import openapi
from sidecar.telemetry.status import Cause, StatusView, Verdict
from tests.listeners import CLOSE_S, serving
from tests.telemetry_samples import StaticSurface, status

OPEN = HttpSettings(
    metrics=Address("127.0.0.1", 0),
    admin=Address("127.0.0.1", 0),
    stream_interval=Duration(20),
    stream_clients=3,
)
GUARDED = msgspec.structs.replace(OPEN, admin_token=Secret(env="TOKEN"))
NO = Verdict(False, (Cause("kafka_unreachable", "no broker answers"),))
KEEPS_TO_IT = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
API = sorted(path for path in openapi()["paths"] if path.startswith("/api/"))
PROBES = ("/livez", "/healthz", "/readyz", "/startupz")


def running(
    chosen: HttpSettings = OPEN, surface: StaticSurface | None = None
) -> AbstractContextManager[HttpServer]:
    """Give a server of what the samples say."""
    return serving(surface or StaticSurface(), chosen)


def ends(case: Any) -> Any:
    """Ask a stream for few events, as it has no end of its own."""
    if case.operation.path == "/api/v1/stream":
        asked = str((case.query or {}).get("events", 1))
        # What is wrong stays wrong.
        few = str(min(int(asked), 2)) if asked.isascii() and asked.isdigit() else asked
        case.query = {**(case.query or {}), "events": few}
    return case


CALM = settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)


def fuzz(server: HttpServer, headers: dict[str, str], *more: Any) -> dict[str, set[int]]:
    """Ask all operations what the document allows, and what it does not; give the codes."""
    seen: dict[str, set[int]] = {}
    document = schemathesis.openapi.from_dict(openapi())
    for found in document.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        address = server.addresses
        base = f"http://{address.metrics if operation.path == '/metrics' else address.admin}"
        codes = seen.setdefault(operation.path, set())
        # What is asked without parameters cannot be asked wrongly.
        wrong = [schemathesis.GenerationMode.NEGATIVE] if operation.query else []
        for mode in (schemathesis.GenerationMode.POSITIVE, *wrong):
            ask = asking(base, headers, [*KEEPS_TO_IT, *more], codes)
            CALM(given(case=operation.as_strategy(generation_mode=mode))(ask))()
    return seen


def asking(
    base: str, headers: dict[str, str], checks: list[Any], codes: set[int]
) -> Callable[[Any], None]:
    def ask(case: Any) -> None:
        answer = ends(case).call(base_url=base, headers=headers, timeout=10)
        case.validate_response(answer, checks=checks)
        codes.add(answer.status_code)

    return ask


@pytest.mark.timeout(180)
def test_every_answer_keeps_to_the_document() -> None:
    with running() as server:
        seen = fuzz(server, {}, not_a_server_error)

    assert seen == {
        "/api/v1/status": {200},
        "/api/v1/history": {200, 400},
        "/api/v1/decisions": {200},
        "/api/v1/stream": {200, 400},
        "/api/v1/openapi.json": {200},
        **{path: {200} for path in PROBES},
        "/metrics": {200},
    }


@pytest.mark.timeout(180)
def test_refusals_of_who_has_no_token_and_of_probes_keep_to_it_too() -> None:
    surface = StaticSurface(alive=NO, willing=NO, begun=NO)
    with running(GUARDED, surface) as server:
        seen = fuzz(server, {"Authorization": "Bearer wrong"})

    assert seen == {
        **{path: {401} for path in API},
        **{path: {503} for path in PROBES},
        "/metrics": {200},
    }


# --- what no document lists ----------------------------------------------------------------


def send(url: str, method: str = "GET") -> tuple[int, str, Any]:
    request = Request(url, method=method)  # noqa: S310
    try:
        with urlopen(request, timeout=5) as reply:  # noqa: S310
            return (
                reply.status,
                reply.headers["content-type"],
                json.loads(reply.read() or "null"),
            )
    except HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], json.loads(error.read())


PROBLEM = Draft202012Validator(openapi()["components"]["schemas"]["Problem"])


@pytest.mark.parametrize("listener", ["metrics", "admin"])
@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("GET", "/nothing", 404), ("GET", "/livez/", 404), ("POST", "/livez", 405)],
)
def test_an_error_is_a_problem(listener: str, method: str, path: str, code: int) -> None:
    with running() as server:
        found, kind, body = send(f"http://{getattr(server.addresses, listener)}{path}", method)

    assert (found, kind) == (code, "application/problem+json")
    PROBLEM.validate(body)
    assert (body["status"], path in body["detail"]) == (code, True)


@pytest.mark.parametrize(
    "query",
    [
        "since=-1",
        "since=x",
        "since=",
        "since=1&since=2",
        "since=9007199254740992",
        "since=%C2%B2",
    ],
)
def test_a_parameter_that_is_wrong_is_named(query: str) -> None:
    with running() as server:
        code, _, body = send(f"http://{server.addresses.admin}/api/v1/history?{query}")

    assert code == 400
    assert body["detail"].startswith("`since` must be one whole number from 0 to ")


def test_a_view_that_raises_is_a_problem_and_does_not_say_what_it_was() -> None:
    class Broken(StaticSurface):
        def status(self) -> StatusView:
            raise RuntimeError("canary")

    with running(surface=Broken()) as server:
        code, kind, body = send(f"http://{server.addresses.admin}/api/v1/status")

    assert (code, kind) == (500, "application/problem+json")
    assert "canary" not in json.dumps(body)


def test_the_document_is_served_as_it_is_committed() -> None:
    with running() as server:
        code, kind, body = send(f"http://{server.addresses.admin}/api/v1/openapi.json")

    assert (code, kind, body) == (200, "application/json", openapi())


# --- the stream ----------------------------------------------------------------------------


def follow(server: HttpServer, path: str, method: str = "GET") -> http.client.HTTPResponse:
    address = server.addresses.admin
    connection = http.client.HTTPConnection(address.host, address.port, timeout=5)
    connection.request(method, path, headers={"Connection": "close"})
    return connection.getresponse()


def test_the_stream_says_the_state_again_and_again() -> None:
    with running() as server:
        text = follow(server, "/api/v1/stream?events=3").read().decode()

    opening, *events, end = text.split("\n\n")
    assert (opening, end, len(events)) == ("retry: 3000", "", 3)
    name, data = events[0].split("\n")
    assert name == "event: status"
    assert msgspec.json.decode(data.removeprefix("data: "), type=StatusView) == status()


def test_a_viewer_too_many_is_told_to_come_back_and_finds_a_place_later() -> None:
    with running() as server:
        looking = [follow(server, "/api/v1/stream") for _ in range(3)]
        refused = follow(server, "/api/v1/stream")
        problem = json.loads(refused.read())
        for viewer in looking:
            viewer.close()
        for _ in range(100):
            back = follow(server, "/api/v1/stream?events=1")
            if back.status == 200:
                break
            back.close()

    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert "http.stream_clients" in problem["detail"]
    assert back.status == 200


def test_a_head_request_takes_no_place() -> None:
    with running() as server:
        for _ in range(5):
            reply = follow(server, "/api/v1/stream", "HEAD")
            assert (reply.status, reply.read()) == (200, b"")
            assert reply.headers["content-type"].startswith("text/event-stream")


def test_nobody_follows_without_the_token() -> None:
    with running(GUARDED) as server:
        codes = {follow(server, path).status for path in ("/api/v1/stream", "/live")}

    assert codes == {401}


def test_the_end_does_not_wait_for_viewers() -> None:
    with running() as server:
        viewer = follow(server, "/api/v1/stream")
    # The block has ended, which takes five seconds at most and was not cut short.
    assert viewer.read().startswith(b"retry: 3000")


async def test_who_came_while_it_closed_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HttpServer(OPEN, StaticSurface())
    await server.start()
    admin = server.addresses.admin
    reader, writer = await asyncio.open_connection(admin.host, admin.port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    asked: list[H11Protocol] = []
    shut_down = H11Protocol.shutdown

    def missed_at_first(connection: H11Protocol) -> None:
        asked.append(connection)
        if len(asked) > 1:
            shut_down(connection)

    monkeypatch.setattr(H11Protocol, "shutdown", missed_at_first)
    await server.close(CLOSE_S)
    writer.close()

    assert len(asked) == 2
