"""The places where each contract suite runs."""

import pytest

from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import KafkaBroker
from tests.contracts.benches import Bench, KafkaBench, MemoryBench


@pytest.fixture(
    params=[
        "memory",
        pytest.param("mock", marks=pytest.mark.mock_kafka),
        pytest.param("kafka", marks=pytest.mark.kafka),
    ]
)
def bench(request: pytest.FixtureRequest) -> Bench:
    if request.param == "memory":
        return MemoryBench()
    if request.param == "mock":
        mock: EmbeddedBroker = request.getfixturevalue("mock_broker")
        return KafkaBench(mock.bootstrap_servers[0], mock.create_topic)
    kafka: KafkaBroker = request.getfixturevalue("kafka")
    return KafkaBench(kafka.bootstrap, kafka.create_topic)
