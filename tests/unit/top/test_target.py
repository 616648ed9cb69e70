"""Which sidecars are asked: addresses, configs, tokens, and what is wrong with them."""

from pathlib import Path

import pytest

from sidecar.config.values import Secret
from sidecar.errors import UserError
from sidecar.top.target import parse_target, read_token, target_of

CONFIG = """
kafka: {{bootstrap_servers: ["b:9092"]}}
topics: {{events: e}}
model: {{bundle: m}}
http: {{{http}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.yaml"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:9465", "http://127.0.0.1:9465/api/v1/status"),
        ("[::1]:9465", "http://[::1]:9465/api/v1/status"),
        ("http://host:9465/", "http://host:9465/api/v1/status"),
        ("https://host/credit", "https://host/credit/api/v1/status"),
        ("http://host:9465/api/v1/status", "http://host:9465/api/v1/status"),
    ],
)
def test_an_address_leads_to_the_status(text: str, url: str) -> None:
    assert parse_target(text).url == url


@pytest.mark.parametrize(
    "text",
    [
        "host",
        "host:",
        "host:0",
        "host:70000",
        "host:9465/api",
        "ftp://host:9465",
        "http://",
        "http://host:x",
        "http://host:0",
        "http://host/?a=b",
        "http://ho st",
        "http://[::1",
        "http://h\u00f6st",
        "a\nb:1",
        "",
    ],
)
def test_what_is_no_address_is_refused_with_the_mend(text: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_target(text)

    assert "HOST:PORT" in caught.value.findings[0].mend


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(UserError) as caught:
        parse_target("http://me:pa55@host:9465")

    assert "password" in str(caught.value.findings)
    assert "pa55" not in str(caught.value.findings)


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(parse_target("host:1", "s3cret"))


@pytest.mark.parametrize(
    ("http", "name"),
    [
        ("", "127.0.0.1:9465"),
        ("admin: '10.0.0.7:8000'", "10.0.0.7:8000"),
        ("admin: '0.0.0.0:8000'", "127.0.0.1:8000"),
        ("admin: '[::]:8000'", "[::1]:8000"),
    ],
)
def test_a_config_names_the_listener(config: Path, http: str, name: str) -> None:
    config.write_text(CONFIG.format(http=http))

    assert target_of(config, {}).name == name


def test_a_config_brings_its_token_unless_another_is_given(config: Path) -> None:
    config.write_text(CONFIG.format(http="admin_token: {env: TOKEN}"))

    assert target_of(config, {"TOKEN": "s3cret"}).token == "s3cret"
    assert target_of(config, {}, "other").token == "other"
    with pytest.raises(UserError, match=r"sidecar\.yaml"):
        target_of(config, {})


def test_a_port_that_is_chosen_at_the_start_is_refused(config: Path) -> None:
    config.write_text(CONFIG.format(http="admin: '127.0.0.1:0'"))

    with pytest.raises(UserError) as caught:
        target_of(config, {})

    assert "log of the running sidecar" in caught.value.findings[0].mend


@pytest.mark.parametrize("body", [None, b"", b"\n", b"a\nb", b"\xff"], ids=repr)
def test_a_file_without_a_token_is_refused(tmp_path: Path, body: bytes | None) -> None:
    path = tmp_path / "token"
    if body is not None:
        path.write_bytes(body)

    with pytest.raises(UserError) as caught:
        read_token(Secret(file=path), str(path), {})

    assert "--token-file" in caught.value.findings[0].mend
