"""The proxy passes bytes on, and does to them what it is told."""

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from loadtests.faults.proxy import Proxy, Requests
from tests.brokers.kafka import free_port

READ, WRITE = 1, 0


def request(body: bytes, kind: int = READ) -> bytes:
    return struct.pack(">ih", 2 + len(body), kind) + body


HELLO = request(b"hello" * 100)


def _echo(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with closing(connection):
        try:
            while chunk := connection.recv(65_536):
                connection.sendall(chunk)
        except OSError:
            return


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """A proxy before a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo, args=(listener,), daemon=True).start()
        proxy = Proxy(free_port(), listener.getsockname()[1])
        proxy.start()
        yield proxy
        proxy.stop()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def said_back(client: socket.socket, data: bytes = HELLO) -> bytes:
    client.sendall(data)
    found = b""
    while len(found) < len(data) and (chunk := client.recv(65_536)):
        found += chunk
    return found


def seconds_of(client: socket.socket, data: bytes = HELLO) -> float:
    began_s = time.perf_counter()
    assert said_back(client, data) == data
    return time.perf_counter() - began_s


def test_bytes_pass_in_both_directions(proxy: Proxy) -> None:
    with connect(proxy) as client:
        large = request(b"x" * 300_000)

        assert said_back(client, large) == large


def test_requests_are_cut_wherever_the_bytes_are() -> None:
    sent = [request(b"a" * 7, WRITE), request(b"", READ), request(b"b" * 5, WRITE)]
    whole = b"".join(sent)

    for step in (1, 4, 9, len(whole)):
        requests = Requests()
        parts = [whole[at : at + step] for at in range(0, len(whole), step)]
        found = [each for part in parts for each in requests.feed(part)]
        assert found == [(WRITE, sent[0]), (READ, sent[1]), (WRITE, sent[2])]


def test_one_kind_of_request_is_held_and_others_pass(proxy: Proxy) -> None:
    proxy.weather.held = frozenset({WRITE})

    with connect(proxy) as writer, connect(proxy) as reader:
        writer.sendall(request(b"x", WRITE))
        assert said_back(reader) == HELLO
        writer.settimeout(0.2)
        with pytest.raises(TimeoutError):
            writer.recv(1)
        proxy.clear()
        writer.settimeout(5)
        assert writer.recv(100) == request(b"x", WRITE)


def test_latency_is_added_to_each_direction(proxy: Proxy) -> None:
    proxy.weather.latency_s = 0.1

    with connect(proxy) as client:
        assert seconds_of(client) >= 0.2


def test_a_narrow_network_takes_its_time(proxy: Proxy) -> None:
    proxy.weather.bytes_per_s = 50_000

    with connect(proxy) as client:
        assert seconds_of(client, request(b"x" * 20_000)) >= 0.3


def test_a_cut_closes_and_refuses_and_is_undone(proxy: Proxy) -> None:
    with connect(proxy) as client:
        said_back(client)
        proxy.cut()

        assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.clear()
    with connect(proxy) as client:
        assert said_back(client) == HELLO


def test_a_half_open_connection_stays_and_gives_nothing(proxy: Proxy) -> None:
    with connect(proxy) as client:
        said_back(client)
        proxy.weather.silent = True
        client.sendall(HELLO)
        client.settimeout(0.3)

        with pytest.raises(TimeoutError):
            client.recv(1)
        proxy.clear()
        client.settimeout(5)
        assert client.recv(len(HELLO))


def test_a_reset_comes_in_the_middle_of_the_bytes(proxy: Proxy) -> None:
    with connect(proxy) as client:
        said_back(client)
        proxy.reset_all(random.Random(7), within_bytes=len(HELLO))

        # Either direction may be the first to use its bytes up.
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            said_back(client, HELLO * 10)
