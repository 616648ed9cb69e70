"""One question to one sidecar, and to what is none."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import msgspec
import pytest

from sidecar.clock import SystemClock
from sidecar.telemetry.status import StatusView
from sidecar.top.fetch import NoStatusError, fetch
from sidecar.top.target import parse_target
from tests.listeners import GUARDED, TOKEN, listening
from tests.telemetry_samples import StaticSurface, status

Talk = Callable[[socket.socket], None]


def ask(address: str, token: str | None = None, timeout_s: float = 5.0) -> StatusView:
    return fetch(parse_target(address, token), timeout_s, SystemClock())


def refusal(address: str, token: str | None = None, timeout_s: float = 5.0) -> str:
    with pytest.raises(NoStatusError) as caught:
        ask(address, token, timeout_s)
    return str(caught.value)


@contextmanager
def speaking(talk: Talk) -> Iterator[str]:
    """Give the address of a listener that treats its one caller so."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            talk(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield "{}:{}".format(*listener.getsockname())
        thread.join()


def saying(body: bytes, kind: str = "application/json", start: str = "200 OK") -> Talk:
    head = f"HTTP/1.1 {start}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


def test_the_status_comes_whole() -> None:
    with listening(StaticSurface()) as address:
        assert ask(address) == status()


def test_the_token_opens_the_listener_and_nothing_else_does() -> None:
    with listening(StaticSurface(), GUARDED) as address:
        assert ask(address, TOKEN).name == "credit"
        without, wrong = refusal(address), refusal(address, "wrong")

    assert without == (
        "answers 401 Unauthorized: give the token of `http.admin_token` with --token-file"
    )
    assert wrong == "answers 401 Unauthorized: the token is not that of its `http.admin_token`"


def test_a_field_that_was_added_does_no_harm() -> None:
    tree = msgspec.to_builtins(status()) | {"weather": {"rain": True}}
    tree["rates"]["colour"] = "blue"

    with speaking(saying(msgspec.json.encode(tree))) as address:
        assert ask(address) == status()


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        (saying(b'{"name": 1}'), "no status that this version knows"),
        (saying(b"[]"), "no status that this version knows"),
        (saying(b"{"), "no sidecar"),
        (saying(b'{"x": ' + b"[" * 100_000), "no sidecar"),
        (saying(b"\xff"), "no sidecar"),
        (saying(b"", start="204 No Content"), "no sidecar"),
        (saying(b"<html>", "text/html"), "no sidecar: answers with text/html"),
        (saying(b"", start="404 Not Found"), "give the address of `http.admin`"),
        (saying(b"", start="302 Found"), "give the address that it leads to"),
        (saying(b"", start="500 Oops"), "answers 500 Oops"),
        (lambda connection: connection.sendall(b"SSH-2.0\r\n"), "no HTTP"),
        (lambda connection: None, "no HTTP"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_status_is_said_in_words(talk: Talk, words: str) -> None:
    with speaking(talk) as address:
        assert words in refusal(address)


def test_nobody_there_is_said_in_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())

    assert refusal(address) == "Connection refused"
    assert refusal("no-such-host.invalid:9465") != ""


def test_silence_and_a_trickle_end_at_the_time_out() -> None:
    over = Event()

    def trickle(connection: socket.socket) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
        connection.sendall(head.encode())
        while not over.wait(0.05):
            connection.sendall(b" ")

    def silence(connection: socket.socket) -> None:
        over.wait(10)

    for talk in (trickle, silence):
        over.clear()
        with speaking(talk) as address:
            assert refusal(address, timeout_s=0.3) == "no answer within 0.3 s"
            over.set()


def test_tls_is_no_status_of_plain_http() -> None:
    with listening(StaticSurface()) as address:
        assert refusal(f"https://{address}").startswith("TLS: ")
