"""What the compose file starts: configs are accepted, and its sidecar answers its events."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.kafka import KafkaBroker
from tests.compose import DEPLOY, SERVICES, mounts, topics
from tests.image.building import Image
from tests.integration.service import Input, Sidecar, Topics, eventually, ids

pytestmark = pytest.mark.timeout(420)

EVENTS = DEPLOY / "compose" / "events.jsonl"


@pytest.mark.promtool
def test_promtool_accepts_the_config_of_prometheus(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian's package is `prometheus`")
    for source, target in mounts("prometheus").items():
        place = tmp_path / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, place)
    config = tmp_path / "etc" / "prometheus" / "prometheus.yml"

    done = subprocess.run(
        [promtool, "check", "config", str(config)], capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


def of_the_service(image: Image, broker: str) -> Image:
    return image._replace(environment={**image.environment, "KAFKA_BROKER": broker})


@pytest.fixture(scope="module")
def broker(kafka: KafkaBroker) -> Iterator[Topics]:
    """A broker with the topics that the compose file makes."""
    for topic in topics():
        named = {name.replace(".", "_"): value for name, value in topic.config.items()}
        kafka.create_topic(topic.name, topic.partitions, **named)
    yield Topics(kafka.bootstrap, topics()[0].name.partition(".")[0])
    for topic in topics():
        kafka.delete_topic(topic.name)


@pytest.mark.kafka
@pytest.mark.image
def test_its_sidecar_has_nothing_to_complain_of(image: Image, broker: Topics) -> None:
    command = ["sidecar", "check", "--connect", "/etc/sidecar/sidecar.yaml"]
    checked = of_the_service(image, broker.bootstrap)._replace(command=command)
    done = subprocess.run(
        checked.started(mounts("sidecar")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors" in done.stdout + done.stderr


@pytest.mark.kafka
@pytest.mark.image
def test_its_sidecar_answers_its_events_and_is_healthy(
    image: Image, broker: Topics, tmp_path: Path
) -> None:
    seen = mounts("sidecar")
    running = of_the_service(image, broker.bootstrap)
    sidecar = Sidecar(tmp_path / "run", {}, lambda _: running.started(seen))
    try:
        sidecar.becomes()
        lines = EVENTS.read_bytes().splitlines()
        broker.send(Input(line) for line in lines)
        eventually(broker.settled, "an outcome of each event")
        keyword, *test = SERVICES["sidecar"]["healthcheck"]["test"]
        probe = running._replace(command=test).started(seen)
        healthy = subprocess.run(probe, timeout=30, check=False).returncode

        assert keyword == "CMD"
        assert healthy == 0
        assert sorted(ids(broker.read(broker.decisions))) == [
            f"p{number:02d}" for number in range(len(lines))
        ]
        assert sidecar.get("/", "status")[0] == 200
        assert sidecar.stop() == 0
        assert subprocess.run(probe, capture_output=True, timeout=30, check=False).returncode
    finally:
        sidecar.kill()
