"""Client arguments, and calls that come to an end."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import trustme

from sidecar.adapters.kafka_client import (
    SecretTokens,
    bounded,
    client_arguments,
    close_client,
)
from sidecar.config.settings import KafkaSettings, SaslSettings, SecuritySettings
from sidecar.config.values import Duration, Secret

NO_VARIABLES: dict[str, str] = {}


def kafka_with(security: SecuritySettings) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=["a:9092", "b:9092"],
        request_timeout=Duration(7_000),
        security=security,
    )


# --- arguments -----------------------------------------------------------------------------


def test_plain_text_needs_nothing_but_the_address() -> None:
    arguments = client_arguments(kafka_with(SecuritySettings()), "credit", NO_VARIABLES)

    assert arguments == {
        "bootstrap_servers": ["a:9092", "b:9092"],
        "client_id": "credit",
        "request_timeout_ms": 7_000,
        "security_protocol": "PLAINTEXT",
    }


def test_a_password_is_looked_up_when_the_client_is_built() -> None:
    sasl = SaslSettings(mechanism="PLAIN", username="app", password=Secret(env="PASSWORD"))
    kafka = kafka_with(SecuritySettings(protocol="sasl_plaintext", sasl=sasl))

    first = client_arguments(kafka, "credit", {"PASSWORD": "old"})
    second = client_arguments(kafka, "credit", {"PASSWORD": "new"})

    assert first["sasl_mechanism"] == "PLAIN"
    assert first["sasl_plain_username"] == "app"
    assert [a["sasl_plain_password"] for a in (first, second)] == ["old", "new"]


async def test_a_token_is_looked_up_each_time_it_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    tokens = SecretTokens(Secret(file=file), NO_VARIABLES)

    before = await tokens.token()
    file.write_text("second\n")
    after = await tokens.token()

    assert (before, after) == ("first", "second")


def test_the_authority_and_the_host_name_are_checked(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    strict = SecuritySettings(protocol="ssl", ca_file=ca)
    any_name = SecuritySettings(protocol="ssl", ca_file=ca, check_hostname=False)

    contexts = [
        client_arguments(kafka_with(security), "credit", NO_VARIABLES)["ssl_context"]
        for security in (strict, any_name)
    ]

    assert [(c.verify_mode, c.check_hostname) for c in contexts] == [
        (ssl.CERT_REQUIRED, True),
        (ssl.CERT_REQUIRED, False),
    ]
    assert [len(context.get_ca_certs()) for context in contexts] == [1, 1]


@pytest.mark.parametrize(
    ("security", "error"),
    [
        pytest.param(
            SecuritySettings(protocol="ssl", ca_file=Path("/no/such/ca.pem")),
            FileNotFoundError,
            id="authority",
        ),
        pytest.param(
            SecuritySettings(
                protocol="sasl_plaintext",
                sasl=SaslSettings(mechanism="PLAIN", password=Secret(env="ABSENT")),
            ),
            KeyError,
            id="variable",
        ),
    ],
)
def test_what_cannot_be_read_is_an_error(
    security: SecuritySettings, error: type[Exception]
) -> None:
    with pytest.raises(error):
        client_arguments(kafka_with(security), "credit", NO_VARIABLES)


# --- calls with an end ---------------------------------------------------------------------


async def never() -> None:
    await asyncio.Event().wait()


async def stubborn() -> None:
    """Hang, and hang on when cancelled once."""
    try:
        await never()
    except asyncio.CancelledError:
        await never()


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def fails() -> None:
    raise ZeroDivisionError("in the client")


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        pytest.param(never, TimeoutError, "did not answer within 0.01 s", id="hangs"),
        pytest.param(stubborn, TimeoutError, "did not answer within 0.01 s", id="stubborn"),
        pytest.param(cancels_itself, TimeoutError, "cancelled its own call", id="cancels"),
        pytest.param(fails, ZeroDivisionError, "in the client", id="fails"),
    ],
)
async def test_a_call_of_the_client_ends_whatever_it_does(
    call: Callable[[], Coroutine[Any, Any, None]], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await bounded(call(), 0.01)


async def test_the_answer_of_a_call_is_passed_on() -> None:
    assert await bounded(asyncio.sleep(0, "answer"), 1) == "answer"


async def test_who_is_cancelled_cancels_the_call() -> None:
    ended = asyncio.Event()

    async def call() -> None:
        try:
            await never()
        finally:
            ended.set()

    waiting = asyncio.create_task(bounded(call(), 60))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(ended.wait(), 1)


@pytest.mark.parametrize("stop", [never, cancels_itself, fails])
async def test_closing_ends_and_raises_nothing_whatever_the_client_does(
    stop: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    class Broken:
        async def stop(self) -> None:
            await stop()

    async with asyncio.timeout(1):
        await close_client(Broken(), 0.05)
