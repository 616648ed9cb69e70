"""Both listeners, asked by a real client over the loopback."""

import asyncio
import json
import signal
import socket
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import pytest

from sidecar.adapters.http import HttpServer
from sidecar.config.settings import HttpSettings
from sidecar.config.values import Address, Secret
from sidecar.errors import Finding, UserError
from sidecar.telemetry.status import Cause, StatusView, Verdict
from tests.telemetry_samples import StaticSurface, status

FREE = HttpSettings(metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", 0))
OPENMETRICS = "application/openmetrics-text; version=1.0.0, text/plain; q=0.5"


class Reply(NamedTuple):
    code: int
    headers: dict[str, str]
    body: str


def send(url: str, method: str, accept: str) -> Reply:
    request = Request(url, method=method, headers={"Accept": accept})  # noqa: S310
    try:
        with urlopen(request, timeout=5) as reply:  # noqa: S310
            return Reply(reply.status, dict(reply.headers), reply.read().decode())
    except HTTPError as error:
        with error:
            return Reply(error.code, dict(error.headers), error.read().decode())


def ask(
    *paths: str,
    surface: StaticSurface | None = None,
    listener: str = "metrics",
    method: str = "GET",
    accept: str = "*/*",
) -> list[Reply]:
    """Start both listeners, ask one of them for each path, and close."""

    async def steps() -> list[Reply]:
        server = HttpServer(FREE, surface or StaticSurface())
        await server.start()
        try:
            base = f"http://{getattr(server.addresses, listener)}"
            return [
                await asyncio.to_thread(send, base + path, method, accept) for path in paths
            ]
        finally:
            await server.close(5)

    return asyncio.run(steps())


# --- the token -----------------------------------------------------------------------------

GUARDED = msgspec.structs.replace(FREE, admin_token=Secret(env="TOKEN"))


def ask_guarded(path: str, environ: dict[str, str], *headers: str) -> list[int]:
    """Ask with each of these headers; give the status codes."""

    async def steps() -> list[int]:
        server = HttpServer(GUARDED, StaticSurface(), environ)
        await server.start()
        try:
            url = f"http://{server.addresses.admin}{path}"
            return [await asyncio.to_thread(code_of, url, header) for header in headers]
        finally:
            await server.close(5)

    return asyncio.run(steps())


def code_of(url: str, authorization: str) -> int:
    headers = {"Authorization": authorization} if authorization else {}
    try:
        with urlopen(Request(url, headers=headers), timeout=5) as reply:  # noqa: S310
            return int(reply.status)
    except HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("path", ["/", "/api/v1/status"])
def test_the_page_and_the_api_answer_only_who_knows_the_token(path: str) -> None:
    shown = ("", "Bearer wrong", "Bearer", "Basic s3cret", "Bearer s3cret", "bearer  s3cret")

    assert ask_guarded(path, {"TOKEN": "s3cret"}, *shown) == [401, 401, 401, 401, 200, 200]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_never_ask_for_a_token(path: str) -> None:
    assert ask_guarded(path, {"TOKEN": "s3cret"}, "") == [200]


@pytest.mark.parametrize("environ", [{}, {"TOKEN": ""}], ids=["missing", "empty"])
def test_without_its_token_the_listener_does_not_open(environ: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"http.admin_token"):
        ask_guarded("/", environ, "")


# --- probes --------------------------------------------------------------------------------

PROBES = ("/livez", "/healthz", "/readyz", "/startupz")


@pytest.mark.parametrize("listener", ["metrics", "admin"])
def test_probes_of_a_healthy_process_answer_200(listener: str) -> None:
    replies = ask(*PROBES, listener=listener)

    assert [(reply.code, json.loads(reply.body)) for reply in replies] == [
        (200, {"ok": True, "reasons": []})
    ] * 4


def test_a_probe_that_says_no_answers_503_and_says_why() -> None:
    causes = (Cause("kafka_unreachable", "no broker answers"),)
    surface = StaticSurface(willing=Verdict(False, causes))

    live, ready = ask("/livez", "/readyz", surface=surface)

    assert live.code == 200
    assert ready.code == 503
    assert json.loads(ready.body) == {
        "ok": False,
        "reasons": [{"code": "kafka_unreachable", "message": "no broker answers"}],
    }


def test_each_probe_asks_its_own_question() -> None:
    no = Verdict(False, (Cause("x", "y"),))

    dead = ask(*PROBES, surface=StaticSurface(alive=no))
    young = ask(*PROBES, surface=StaticSurface(begun=no))

    assert [reply.code for reply in dead] == [503, 503, 200, 200]
    assert [reply.code for reply in young] == [200, 200, 200, 503]


# --- metrics -------------------------------------------------------------------------------


def test_metrics_come_as_prometheus_text() -> None:
    [reply] = ask("/metrics")

    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nsidecar_records_received_total 4.0\n" in reply.body


def test_metrics_come_as_openmetrics_when_asked_for() -> None:
    [reply] = ask("/metrics", accept=OPENMETRICS)

    assert reply.headers["content-type"].startswith(
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    assert reply.body.endswith("# EOF\n")


def test_metrics_have_one_address_and_no_redirect() -> None:
    [reply] = ask("/metrics/")

    assert reply.code == 404


# --- what is where -------------------------------------------------------------------------


def test_the_page_is_not_on_the_open_listener() -> None:
    replies = ask("/", "/status.css", "/api/v1/status")

    assert [reply.code for reply in replies] == [404, 404, 404]


def test_the_status_is_json() -> None:
    [reply] = ask("/api/v1/status", listener="admin")

    assert reply.headers["content-type"] == "application/json"
    assert msgspec.json.decode(reply.body, type=StatusView) == status()


def test_the_page_and_its_style_are_served() -> None:
    page, style = ask("/", "/status.css", listener="admin")

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert 'href="status.css"' in page.body
    assert style.headers["content-type"] == "text/css; charset=utf-8"
    assert "prefers-color-scheme: dark" in style.body


def test_the_page_stands_still_when_asked_to() -> None:
    moving, still = ask("/", "/?refresh=off", listener="admin")

    assert 'http-equiv="refresh"' in moving.body
    assert 'http-equiv="refresh"' not in still.body


# --- what nobody may do --------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods_than_get_and_head_are_refused(method: str) -> None:
    open_paths = ask("/metrics", "/livez", "/readyz", method=method)
    admin_paths = ask("/", "/api/v1/status", listener="admin", method=method)

    codes = [(reply.code, reply.headers["allow"]) for reply in open_paths + admin_paths]
    assert {(code, frozenset(allow.split(", "))) for code, allow in codes} == {
        (405, frozenset({"GET", "HEAD"}))
    }


@pytest.mark.parametrize("path", ["/", "/api/v1/status", "/nothing"])
def test_every_answer_forbids_scripts_and_frames(path: str) -> None:
    [reply] = ask(path, listener="admin")

    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "server" not in reply.headers


def test_a_view_that_raises_costs_one_answer_not_the_listener() -> None:
    class Broken(StaticSurface):
        def status(self) -> StatusView:
            raise RuntimeError("canary")

    page, live = ask("/", "/livez", surface=Broken(), listener="admin")

    assert (page.code, live.code) == (500, 200)
    assert "canary" not in page.body


# --- life ----------------------------------------------------------------------------------


def test_a_port_in_use_is_the_users_to_mend() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = HttpSettings(
            metrics=Address("127.0.0.1", 0), admin=Address("127.0.0.1", port)
        )

        with pytest.raises(UserError) as raised:
            asyncio.run(HttpServer(settings, StaticSurface()).start())

    assert raised.value.findings == (
        Finding(
            "$.http.admin",
            f"cannot listen on 127.0.0.1:{port}: Address already in use",
            "stop what listens there, or name another address; port 0 takes a free one",
        ),
    )


def test_the_real_port_can_be_asked_and_is_free_after_close() -> None:
    async def steps() -> int:
        server = HttpServer(FREE, StaticSurface())
        await server.start()
        port = server.addresses.metrics.port
        await server.close(5)
        return port

    port = asyncio.run(steps())

    assert port != 0
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_the_process_keeps_its_signal_handlers() -> None:
    async def steps() -> None:
        server = HttpServer(FREE, StaticSurface())
        await server.start()
        during.extend(signal.getsignal(number) for number in watched)
        await server.close(5)

    async def nothing() -> None:
        before.extend(signal.getsignal(number) for number in watched)

    # `asyncio.run` handles SIGINT itself, so both readings are taken inside of one.
    watched = (signal.SIGTERM,)
    before: list[object] = []
    during: list[object] = []
    asyncio.run(nothing())
    asyncio.run(steps())

    assert during == before


def test_close_ends_in_time_although_a_client_hangs() -> None:
    async def steps() -> float:
        server = HttpServer(FREE, StaticSurface())
        await server.start()
        address = server.addresses.metrics
        _, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n")  # and never the rest
        await writer.drain()
        began = asyncio.get_running_loop().time()
        await server.close(1.0)
        took = asyncio.get_running_loop().time() - began
        writer.close()
        return took

    assert asyncio.run(steps()) < 2.0


def test_close_without_start_does_nothing() -> None:
    asyncio.run(HttpServer(FREE, StaticSurface()).close(1))


def test_the_address_is_not_known_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = HttpServer(FREE, StaticSurface()).addresses
