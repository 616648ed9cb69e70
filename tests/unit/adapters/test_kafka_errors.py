"""What the client's errors mean."""

import ssl

import aiokafka.errors as kafka_errors
import pytest
from aiokafka.errors import BrokerResponseError

from sidecar.adapters.kafka_errors import Fate, fate, reason_of, text_of

REFUSED = {
    10: "message too large",
    18: "record list too large",
    32: "invalid timestamp",
    87: "invalid record",
}
OWNERSHIP_LOST = {22: "illegal generation", 25: "unknown member", 27: "rebalance in progress"}


def by_code(code: int) -> BrokerResponseError:
    return kafka_errors.for_code(code)()


@pytest.mark.parametrize("code", range(-1, 130))
def test_a_code_of_the_protocol_has_the_fate_that_the_protocol_gives_it(code: int) -> None:
    expected = Fate.REBUILD
    if code in REFUSED:
        expected = Fate.REFUSED
    if code in OWNERSHIP_LOST:
        expected = Fate.OWNERSHIP_LOST

    assert fate(by_code(code)) is expected


def test_an_error_that_nobody_has_met_yet_asks_for_a_new_client() -> None:
    assert fate(RuntimeError("?")) is Fate.REBUILD


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (by_code(3), "topic_missing"),
        (by_code(5), "no_leader"),
        (by_code(6), "no_leader"),
        (by_code(19), "not_enough_replicas"),
        (by_code(29), "not_authorised"),
        (by_code(30), "not_authorised"),
        (by_code(31), "not_authorised"),
        (by_code(45), "sequence_lost"),
        (by_code(58), "authentication_failed"),
        (by_code(59), "sequence_lost"),
        (KeyError("PASSWORD"), "authentication_failed"),
        (FileNotFoundError("/run/secrets/kafka"), "authentication_failed"),
        (ssl.SSLCertVerificationError("self-signed"), "tls_failed"),
        (ConnectionRefusedError(), "broker_unreachable"),
        (TimeoutError(), "timeout"),
        (by_code(-1), "client_failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_the_reason_is_a_short_word(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_an_error_without_a_text_is_told_by_its_name() -> None:
    assert text_of(TimeoutError()) == "TimeoutError"
    assert text_of(TimeoutError("after 5 s")) == "TimeoutError: after 5 s"
