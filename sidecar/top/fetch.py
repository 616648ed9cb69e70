"""One question to one sidecar: its status, or why there is none in words for people."""

import os
from http.client import HTTPException, HTTPResponse
from ssl import SSLError
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import msgspec

from sidecar.clock import Clock
from sidecar.telemetry.status import StatusView
from sidecar.top.target import Target

# A hundred times what a sidecar of some hundred features says.
_MOST_BYTES = 16 << 20
_PART_BYTES = 1 << 16


class NoStatusError(Exception):
    """A sidecar that gives no status; the text says why."""


class _NoRedirects(HTTPRedirectHandler):
    """Follows nothing: the token would go to wherever an answer points."""

    def redirect_request(self, *_: Any) -> None:
        """Leave the answer as it is."""


# A proxy of the environment is for the world outside; these are addresses within.
_OPENER = build_opener(ProxyHandler({}), _NoRedirects)


def fetch(target: Target, timeout_s: float, clock: Clock) -> StatusView:
    """Ask a sidecar for its status.

    Args:
        target: Whom to ask.
        timeout_s: Longest wait for a connection, for a piece of the answer, and about that
            for all of it.
        clock: Measures the last.

    Raises:
        NoStatusError: There is none.
    """
    end_s = clock.monotonic() + timeout_s
    headers = {"Accept": "application/json"}
    if target.token is not None:
        # As the listener reads it: bytes of UTF-8, each as one character of the header.
        headers["Authorization"] = f"Bearer {target.token}".encode().decode("latin-1")
    request = Request(target.url, headers=headers)  # noqa: S310 - http and https alone
    try:
        with _OPENER.open(request, timeout=timeout_s) as answer:
            body = _read(answer, end_s, clock)
            kind = answer.headers.get_content_type()
    except HTTPError as error:
        with error:
            raise NoStatusError(_refusal(error, target)) from error
    except TimeoutError as error:
        raise NoStatusError(no_answer(timeout_s)) from error
    except URLError as error:
        raise NoStatusError(_unreachable(error.reason, timeout_s)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise NoStatusError(f"no HTTP: {_words(error)}") from error
    return _decode(body, kind)


def no_answer(timeout_s: float) -> str:
    """Say that the time is over."""
    return f"no answer within {timeout_s:g} s"


def _read(answer: HTTPResponse, end_s: float, clock: Clock) -> bytes:
    """Read the answer piece by piece, for one that trickles never lets the socket time out."""
    body = bytearray()
    while part := answer.read1(_PART_BYTES):
        body += part
        if clock.monotonic() > end_s:
            raise TimeoutError
        if len(body) > _MOST_BYTES:
            raise ValueError("the answer has no end")
    return bytes(body)


def _decode(body: bytes, kind: str) -> StatusView:
    if kind != "application/json":
        raise NoStatusError(f"no sidecar: answers with {kind}")
    try:
        return msgspec.json.decode(body, type=StatusView)
    except msgspec.ValidationError as error:
        raise NoStatusError(f"no status that this version knows: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NoStatusError(f"no sidecar: {error}") from error


def _refusal(error: HTTPError, target: Target) -> str:
    answer = f"answers {error.code} {error.reason}".rstrip()
    if 300 <= error.code < 400:
        return f"{answer}: give the address that it leads to"
    hints = {
        401: "give the token of `http.admin_token` with --token-file"
        if target.token is None
        else "the token is not that of its `http.admin_token`",
        404: "no status there; give the address of `http.admin`",
    }
    hint = hints.get(error.code)
    return f"{answer}: {hint}" if hint else answer


def _unreachable(reason: object, timeout_s: float) -> str:
    if isinstance(reason, TimeoutError):
        return no_answer(timeout_s)
    return _words(reason)


def _words(reason: object) -> str:
    if isinstance(reason, SSLError):  # its number is none of the system's
        return f"TLS: {getattr(reason, 'verify_message', '') or reason.reason or reason}"
    code = getattr(reason, "errno", None) or 0
    if isinstance(reason, OSError) and code > 0:
        return os.strerror(code)
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)
