"""The broker inside the process."""

import sys

import pytest

from sidecar.demo.broker import EmbeddedBroker
from sidecar.errors import Finding, UserError
from tests.contracts.benches import read_all, write
from tests.fakes import Stored

pytestmark = pytest.mark.mock_kafka


def test_it_keeps_what_is_written_until_it_stops() -> None:
    record = Stored(b"key", b"value", [("name", b"x")], 1_700_000_000_000)

    with EmbeddedBroker({"events": 2}) as broker:
        (address,) = broker.bootstrap_servers
        write(address, "events", 1, record)
        there = read_all(address, "events", 1)
    with EmbeddedBroker({"events": 2}) as broker:
        anew = read_all(broker.bootstrap_servers[0], "events", 1)

    assert there == [record]
    assert anew == []


def test_a_broker_that_was_down_still_has_its_records() -> None:
    with EmbeddedBroker({"events": 1}) as broker:
        write(broker.bootstrap_servers[0], "events", 0, Stored(b"key", b"value"))
        broker.broker_down()
        broker.broker_up()

        values = [r.value for r in read_all(broker.bootstrap_servers[0], "events", 0)]

    assert values == [b"value"]


def test_a_cluster_has_an_address_for_each_broker() -> None:
    with EmbeddedBroker(brokers=3) as cluster:
        assert len(set(cluster.bootstrap_servers)) == 3


def test_what_makes_no_sense_is_refused() -> None:
    with (
        EmbeddedBroker({"events": 1}) as broker,
        pytest.raises(ValueError, match="Topic already exists"),
    ):
        broker.create_topic("events", 1)


def test_stop_may_be_repeated() -> None:
    broker = EmbeddedBroker()
    broker.stop()
    broker.start()
    broker.stop()
    broker.stop()


def test_without_its_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)

    with pytest.raises(UserError) as raised:
        EmbeddedBroker().start()

    assert raised.value.findings == (
        Finding(
            "confluent-kafka",
            "confluent-kafka is not installed",
            "install the demo extra: sidecar[demo]",
        ),
    )
