"""Answers of the HTTP surface: JSON, problems, and the guard that asks for the token."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from hmac import compare_digest
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sidecar.telemetry.openapi import PROBLEM_JSON
from sidecar.telemetry.status import Problem

Endpoint = Callable[[Request], Awaitable[Response]]


def json_answer(body: object, code: int = 200) -> Response:
    """Answer with JSON."""
    return Response(msgspec.json.encode(body), code, media_type="application/json")


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Say why a request is refused: problem details, RFC 9457."""
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return Response(msgspec.json.encode(body), status, headers, PROBLEM_JSON)


async def _refused(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    words = {
        404: f"there is no {request.url.path} here; see /api/v1/openapi.json",
        405: f"{request.url.path} answers GET and HEAD alone",
    }
    return problem(error.status_code, words.get(error.status_code, error.detail), error.headers)


async def _failed(_request: Request, _error: Exception) -> Response:
    return problem(500, "the answer could not be made; the log says why")


PROBLEMS: Mapping[Any, Any] = {HTTPException: _refused, Exception: _failed}
"""For an application: every error is a problem."""


def whole_number(
    request: Request, name: str, default: int | None, least: int, most: int
) -> int | None:
    """Read a parameter of the query.

    Raises:
        HTTPException: It is no whole number in the range, or stands twice: 400.
    """
    texts = request.query_params.getlist(name)
    if not texts:
        return default
    text = texts[0]
    if len(texts) == 1 and text.isascii() and text.isdigit() and len(text) < 20:
        number = int(text)
        if least <= number <= most:
            return number
    detail = f"`{name}` must be one whole number from {least} to {most}"
    raise HTTPException(400, detail)


def guard(routes: Iterable[Route], token: bytes | None) -> Iterator[Route]:
    """Answer only who knows the token, when there is one."""
    for route in routes:
        endpoint: Endpoint = route.endpoint
        yield route if token is None else Route(route.path, _guarded(endpoint, token))


def _guarded(endpoint: Endpoint, token: bytes) -> Endpoint:
    async def answer(request: Request) -> Response:
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and compare_digest(shown.strip().encode(), token):
            return await endpoint(request)
        challenge = {"www-authenticate": 'Bearer realm="sidecar"'}
        return problem(401, "a bearer token is needed: `Authorization: Bearer`", challenge)

    return answer
