"""The OpenAPI 3.1 document of both listeners, from the Structs that they answer with."""

import functools
import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from sidecar import __version__
from sidecar.pipeline.schemas import components_of
from sidecar.telemetry.decisions import DecisionsView
from sidecar.telemetry.history import HistoryView
from sidecar.telemetry.status import ProbeView, Problem, StatusView

Tree = dict[str, Any]

_ROOTS: tuple[type[Struct], ...] = (StatusView, HistoryView, DecisionsView, ProbeView, Problem)
_REF = "#/components/schemas/{name}"
PROBLEM_JSON = "application/problem+json"
LARGEST_INSTANT = 2**53 - 1
"""Largest instant that a request may name, in milliseconds: any JSON reader holds it."""
MOST_EVENTS = 1_000_000
"""Most events that a request may ask the stream for."""


@functools.cache
def openapi_text() -> str:
    """Give the document as the text of its file, `schemas/openapi.json`."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


def openapi() -> Tree:
    """Give the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sidecar",
            "version": __version__,
            "description": "What a running sidecar says about itself. Nothing can be changed "
            "here: every path answers GET and HEAD alone. Probes are on both listeners, "
            "metrics on `http.metrics`, all else on `http.admin`. Fields are added, never "
            "renamed; readers pass over those that they do not know.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [
            {"url": "http://127.0.0.1:9465", "description": "`http.admin`"},
            {"url": "http://127.0.0.1:9464", "description": "`http.metrics`"},
        ],
        "paths": {**_api(), **_probes(), "/metrics": {"get": _metrics()}},
        "components": {
            "schemas": _components(),
            "responses": _problems(),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The one of `http.admin_token`; nobody is asked without.",
                }
            },
        },
    }


def _components() -> Tree:
    # Defaults that are tuples are lists in JSON.
    written = msgspec.json.encode(components_of(_ROOTS, _REF))
    return msgspec.json.decode(written, type=Tree)


def _api() -> Tree:
    return {
        "/api/v1/status": _get("readStatus", "State of everything.", _json(StatusView)),
        "/api/v1/history": _get(
            "readHistory",
            "Samples of the last hour at a fixed step, for charts.",
            _json(HistoryView),
            _query("since", "Only samples after this instant, Unix ms.", LARGEST_INSTANT),
        ),
        "/api/v1/decisions": _get(
            "readDecisions",
            "The last decisions with why and how they were taken, where `http.decisions` keeps "
            "them.",
            _json(DecisionsView),
        ),
        "/api/v1/stream": _get(
            "followStatus",
            "The state again each `http.stream_interval`, as server-sent events named "
            "`status`; the data of each is a `StatusView`. Comments are heartbeats.",
            {"text/event-stream": {"schema": _event(StatusView)}},
            _query("events", "End after so many events.", MOST_EVENTS, least=1),
            full=True,
        ),
        "/api/v1/openapi.json": _get(
            "readOpenapi",
            "This document.",
            {"application/json": {"schema": {"type": "object"}}},
        ),
    }


def _get(
    operation: str, summary: str, content: Tree, *parameters: Tree, full: bool = False
) -> Tree:
    refused = ["401", *(["400"] if parameters else []), *(["503"] if full else [])]
    answers = {"200": {"description": "OK", "content": content}}
    answers |= {code: {"$ref": f"#/components/responses/{code}"} for code in sorted(refused)}
    return {
        "get": {
            "operationId": operation,
            "summary": summary,
            "tags": ["api"],
            **({"parameters": list(parameters)} if parameters else {}),
            "responses": answers,
            "security": [{"token": []}, {}],
        }
    }


def _query(name: str, text: str, most: int, least: int = 0) -> Tree:
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _json(struct: type[Struct]) -> Tree:
    return {"application/json": {"schema": {"$ref": _REF.format(name=struct.__name__)}}}


def _event(struct: type[Struct]) -> Tree:
    """Describe each event of a stream."""
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": {"$ref": _REF.format(name=struct.__name__)},
    }
    return {
        "type": "object",
        "description": "One event. The first says only when to come back.",
        "properties": {
            "event": {"const": "status"},
            "data": data,
            "retry": {"type": "integer"},
        },
    }


def _probes() -> Tree:
    questions: Mapping[str, tuple[str, str]] = {
        "/livez": ("isLive", "Whether the process should be left running."),
        "/healthz": ("isHealthy", "The same as `/livez`."),
        "/readyz": ("isReady", "Whether events are taken."),
        "/startupz": ("isStarted", "Whether the model is loaded."),
    }
    return {
        path: {
            "get": {
                "operationId": operation,
                "summary": question,
                "tags": ["probes"],
                "responses": {
                    "200": {"description": "Yes.", "content": _json(ProbeView)},
                    "503": {"description": "No, and why.", "content": _json(ProbeView)},
                },
            }
        }
        for path, (operation, question) in questions.items()
    }


def _metrics() -> Tree:
    text = {"schema": {"type": "string"}}
    return {
        "operationId": "readMetrics",
        "summary": "All metrics: Prometheus text, or OpenMetrics where `Accept` asks for it.",
        "tags": ["metrics"],
        "servers": [{"url": "http://127.0.0.1:9464", "description": "`http.metrics`"}],
        "responses": {
            "200": {
                "description": "OK",
                "content": {"text/plain": text, "application/openmetrics-text": text},
            }
        },
    }


def _problems() -> Tree:
    schema = {"schema": {"$ref": _REF.format(name="Problem")}}
    challenge = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return {
        "400": {
            "description": "A parameter is not what it may be.",
            "content": {PROBLEM_JSON: schema},
        },
        "401": {
            "description": "The token is missing or wrong.",
            "headers": challenge,
            "content": {PROBLEM_JSON: schema},
        },
        "503": {
            "description": "`http.stream_clients` look already.",
            "content": {PROBLEM_JSON: schema},
        },
    }
