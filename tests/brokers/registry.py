"""A schema registry over HTTP: the calls that serialisers and the sidecar make, and a count.

It keeps what it is given and checks nothing. What a real one does differently is in
`tests/integration/test_registry_apicurio.py`.
"""

import base64
import json
import ssl
import threading
import uuid
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.brokers.kafka import free_port

Answer = tuple[int, object]
NO_SCHEMA: Answer = (404, {"error_code": 40403, "message": "Schema not found"})
NO_VERSION: Answer = (404, {"error_code": 40402, "message": "Version not found"})


@dataclass(frozen=True)
class Entry:
    """A schema of a subject."""

    id: int
    guid: str
    subject: str
    version: int
    body: dict[str, Any]

    def described(self, form: str) -> dict[str, Any]:
        """As it is answered. Protobuf is text, unless it is asked for otherwise."""
        schema = self.body["schema"]
        if self.body.get("schemaType") == "PROTOBUF" and form != "serialized":
            schema = 'syntax = "proto3"; // as people read it'
        return {
            **self.body,
            "schema": schema,
            "id": self.id,
            "guid": self.guid,
            "subject": self.subject,
            "version": self.version,
        }


class HttpRegistry:
    """Runs in a thread; may be stopped and started again with its schemas."""

    def __init__(self, credentials: str = "", tls: ssl.SSLContext | None = None) -> None:
        """Ask for `user:password` when it is given, and speak TLS with a context."""
        self.port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._tls = tls
        self.asked: Counter[str] = Counter()
        """Questions for a schema, by the end of the path: `ids/1`."""
        self.answer: Answer | None = None
        """Given to every question in the place of the true one."""
        self._authorization = (
            f"Basic {base64.b64encode(credentials.encode()).decode()}" if credentials else ""
        )
        self._entries: list[Entry] = []
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> "HttpRegistry":
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._reply(registry.get)

            def do_POST(self) -> None:
                self._reply(registry.post)

            def log_message(self, *_: Any) -> None:
                return None

            def _reply(self, handle: Any) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = self.headers.get("Authorization") or ""
                status, body = registry.refusal(said) or handle(self.path, raw)
                text = json.dumps(body).encode()
                self.send_response(HTTPStatus(status))
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def refusal(self, authorization: str) -> Answer | None:
        if self.answer is not None:
            return self.answer
        if self._authorization not in ("", authorization):
            return 401, {"error_code": 40101, "message": "Unauthorized"}
        return None

    def get(self, path: str, _: bytes) -> Answer:
        url = urlsplit(path)
        form = parse_qs(url.query).get("format", [""])[0]
        match url.path.strip("/").split("/"):
            case ["schemas", kind, name]:
                self.asked[f"{kind}/{name}"] += 1
                found = [e for e in self._entries if name in (str(e.id), e.guid)]
                return (200, found[0].described(form)) if found else NO_SCHEMA
            case ["subjects", subject, "versions", version]:
                wanted = unquote(subject), version
                found = [e for e in self._entries if (e.subject, str(e.version)) == wanted]
                return (200, found[0].described(form)) if found else NO_VERSION
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def post(self, path: str, raw: bytes) -> Answer:
        subject = unquote(urlsplit(path).path.strip("/").split("/")[1])
        with self._lock:
            entry = self._entry(subject, json.loads(raw))
        return 200, entry.described("serialized")

    def _entry(self, subject: str, body: dict[str, Any]) -> Entry:
        versions = [entry for entry in self._entries if entry.subject == subject]
        for entry in versions:
            if entry.body == body:
                return entry
        number, guid = len(self._entries) + 1, str(uuid.uuid4())
        entry = Entry(number, guid, subject, len(versions) + 1, body)
        self._entries.append(entry)
        return entry
