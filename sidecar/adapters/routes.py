"""What is where: probes and metrics for machines, the page and the API for people."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.adapters.answers import Endpoint, json_answer, problem, whole_number
from sidecar.adapters.choice import Choice
from sidecar.adapters.live import EventStream, FullError, Live, event, frames
from sidecar.adapters.status_page import parts, render, title
from sidecar.telemetry.decisions import DecisionsView
from sidecar.telemetry.openapi import LARGEST_INSTANT, MOST_EVENTS, openapi_text
from sidecar.telemetry.status import ProbeView, StatusView, Surface, Verdict

# How often a browser without script asks again.
_REFRESH_S = 5
_FILES = (
    ("/status.css", "status.css", "text/css"),
    ("/static/status.js", "static/status.js", "text/javascript"),
    ("/static/uPlot.min.css", "static/uplot/uPlot.min.css", "text/css"),
    ("/static/uPlot.iife.min.js", "static/uplot/uPlot.iife.min.js", "text/javascript"),
)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One moment for all viewers. What two of them want is written once."""

    status: StatusView
    decisions: DecisionsView
    written: dict[Choice | None, bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, surface: Surface) -> "Snapshot":
        """Take it now."""
        return cls(surface.status(), surface.decisions())

    def data(self) -> bytes:
        """Give the event of the API."""
        return self._once(None, lambda: event("status", msgspec.json.encode(self.status)))

    def page(self, choice: Choice) -> bytes:
        """Give the event of the page."""
        return self._once(choice, lambda: event("page", self._parts(choice)))

    def _parts(self, choice: Choice) -> bytes:
        found = parts(
            self.status, choice=choice, decisions=self.decisions, refresh_s=_REFRESH_S
        )
        texts = {name: str(part or "") for name, part in found.items()}
        return msgspec.json.encode({"title": title(self.status), "parts": texts})

    def _once(self, key: Choice | None, write: Callable[[], bytes]) -> bytes:
        if key not in self.written:
            self.written[key] = write()
        return self.written[key]


# --- for machines --------------------------------------------------------------------------


def probe_routes(surface: Surface) -> list[Route]:
    """Give the probes."""
    return [
        _probe("/livez", surface.live),
        _probe("/healthz", surface.live),
        _probe("/readyz", surface.ready),
        _probe("/startupz", surface.started),
    ]


def _probe(path: str, ask: Callable[[], Verdict]) -> Route:
    async def answer(_request: Request) -> Response:
        verdict = ask()
        return json_answer(ProbeView(verdict.ok, verdict.causes), 200 if verdict.ok else 503)

    return Route(path, answer)


def metrics_route(surface: Surface) -> Route:
    """Give the metrics."""

    async def answer(request: Request) -> Response:
        found = surface.exposition(request.headers.get("accept", ""))
        body = await asyncio.to_thread(found.write)
        return Response(body, headers={"content-type": found.content_type})

    return Route("/metrics", answer)


def api_routes(surface: Surface, live: Live[Snapshot]) -> list[Route]:
    """Give the API; `sidecar.telemetry.openapi` describes it."""

    async def status(_request: Request) -> Response:
        return json_answer(surface.status())

    async def history(request: Request) -> Response:
        since = whole_number(request, "since", 0, 0, LARGEST_INSTANT)
        return json_answer(surface.history(since or 0))

    async def decisions(_request: Request) -> Response:
        return json_answer(surface.decisions())

    async def stream(request: Request) -> Response:
        most = whole_number(request, "events", None, 1, MOST_EVENTS)
        return _stream(request, live, Snapshot.data, most)

    async def described(_request: Request) -> Response:
        return Response(openapi_text(), media_type="application/json")

    answers: dict[str, Endpoint] = {
        "status": status,
        "history": history,
        "decisions": decisions,
        "stream": stream,
        "openapi.json": described,
    }
    return [Route(f"/api/v1/{name}", answer) for name, answer in answers.items()]


def _stream(
    request: Request, live: Live[Snapshot], write: Callable[[Snapshot], bytes], most: int | None
) -> Response:
    if request.method == "HEAD":
        return Response(media_type=EventStream.media_type)
    try:
        live.enter()
    except FullError:
        detail = "all places are taken; `http.stream_clients` says how many there are"
        return problem(503, detail, {"retry-after": "5"})
    return EventStream(frames(live.follow(), write, most), live.leave)


# --- for people ----------------------------------------------------------------------------


def page_routes(surface: Surface, live: Live[Snapshot]) -> list[Route]:
    """Give the status page, and what its script follows."""

    async def page(request: Request) -> Response:
        still = request.query_params.get("refresh") == "off"
        html = render(
            surface.status(),
            choice=_choice(request),
            decisions=surface.decisions(),
            refresh_s=None if still else _REFRESH_S,
        )
        return Response(html, media_type="text/html")

    async def news(request: Request) -> Response:
        choice = _choice(request)
        return _stream(request, live, lambda snapshot: snapshot.page(choice), None)

    return [Route("/", page), Route("/live", news)]


def _choice(request: Request) -> Choice:
    asked = request.query_params
    return Choice(asked.get("window"), asked.get("feature"))


def file_routes() -> list[Route]:
    """Give the files of the page, which are the same for all and need no token."""
    folder = files("sidecar.adapters")
    return [
        _file(path, folder.joinpath(name).read_bytes(), kind) for path, name, kind in _FILES
    ]


def _file(path: str, body: bytes, kind: str) -> Route:
    async def answer(_request: Request) -> Response:
        return Response(body, media_type=kind)

    return Route(path, answer)
