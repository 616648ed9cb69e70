"""From `model.onnx` and a CSV to a first decision on a real broker, as QUICKSTART.md has it."""

import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from sidecar.app.checking import check_files
from sidecar.app.checks.check import Severity
from sidecar.clock import SystemClock
from tests.brokers.kafka import KafkaBroker
from tests.integration import kcat
from tests.integration.service import Sidecar, Topics, eventually

DATA = Path(__file__).parents[1] / "data"
FIVE_MINUTES_S = 300


COMMAND = re.compile(r"^kafka-topics\.sh .* --create --topic (\S+)(.*)$", re.MULTILINE)
CONFIG = re.compile(r"--config ([\w.]+)=(\w+)")


def init(folder: Path, name: str, brokers: str) -> None:
    model, table = DATA / "models" / "shop_named.onnx", DATA / "tables" / "shop.csv"
    subprocess.run(
        [
            *(sys.executable, "-m", "sidecar", "init", "--model", model),
            *("--reference", table, "--label", "returned", "--name", name),
            *("--brokers", brokers, folder),
        ],
        check=True,
    )


@pytest.mark.kafka
async def test_with_the_topics_of_the_page_nothing_is_missing(
    kafka: KafkaBroker, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    init(folder, f"shop-{uuid4().hex[:8]}", kafka.bootstrap)
    page = (folder / "QUICKSTART.md").read_text(encoding="utf-8")
    for topic, rest in COMMAND.findall(page):
        settings = {key.replace(".", "_"): value for key, value in CONFIG.findall(rest)}
        kafka.create_topic(topic, 1, **settings)

    told = await check_files([folder / "sidecar.yaml"], {}, SystemClock(), connect_s=20)

    # There is one broker, and the rows have no time.
    rest = {p.check for p in told if p.severity != Severity.NOTE}
    assert rest == {"topic-has-one-copy"}


@pytest.mark.kafka
@pytest.mark.kcat
def test_a_model_and_a_table_become_decisions_on_a_broker_in_five_minutes(
    kafka_topics: Topics, tmp_path: Path
) -> None:
    clock = SystemClock()
    began_s, folder = clock.monotonic(), tmp_path / "shop"
    init(folder, kafka_topics.name, kafka_topics.bootstrap)
    made = (folder / "sidecar.yaml").read_text(encoding="utf-8")
    bundle = made.replace("models/1", str(folder / "models" / "1"))
    free = 'http: {metrics: "127.0.0.1:0", admin: "127.0.0.1:0"}\n'

    sidecar = Sidecar(tmp_path / "run", bundle + free)
    try:
        sidecar.working()
        kcat.write_lines(kafka_topics, folder / "events.jsonl")
        eventually(kafka_topics.settled, "a committed outcome of every event")
    finally:
        sidecar.kill()

    decisions = kcat.read(kafka_topics, kafka_topics.decisions)
    events = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(decisions) == len(events)
    assert {each.json["source"] for each in decisions} == {"model", "default"}
    assert clock.monotonic() - began_s < FIVE_MINUTES_S
