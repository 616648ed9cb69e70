"""The script that makes topics and rights, run with Kafka's own commands on a real broker."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from sidecar.cli.main import cli
from tests.brokers.commands import commands
from tests.brokers.kafka import CannotRunError
from tests.brokers.secure import PASSWORD, STRANGER, SecureBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SCRIPT = Path(__file__).parents[2] / "deploy" / "kafka" / "topics.sh"
# The broker is alone, and the bundle of the tests small.
OF_THE_TEST = {
    "topic-has-one-copy",
    "windows-are-uncalibrated",
    # Settings of the brokers and of the cluster, which are nobody's but the administrator's.
    "question-got-no-answer",
}


@pytest.fixture
def path(tmp_path: Path) -> str:
    try:
        return f"{commands(tmp_path / 'commands')}:{os.environ['PATH']}"
    except CannotRunError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("mode", ["at_least_once", "exactly_once"])
def test_a_user_with_these_rights_on_these_topics_has_all_that_it_needs(
    mode: str, path: str, secure_kafka: SecureBroker, credit_bundle: Path, tmp_path: Path
) -> None:
    name = f"script-{uuid.uuid4().hex[:8]}"
    settings = {
        "BOOTSTRAP": secure_kafka.broker.bootstrap,
        "NAME": name,
        "PRINCIPAL": f"User:{STRANGER}",
        "PARTITIONS": "2",
        "COPIES": "1",
        "IN_SYNC": "1",
        "EXACTLY_ONCE": "yes" if mode == "exactly_once" else "no",
    }

    done = subprocess.run(
        [SCRIPT], env={"PATH": path, **settings}, capture_output=True, text=True, timeout=120
    )

    assert done.returncode == 0, done.stdout + done.stderr
    sasl = {"mechanism": "PLAIN", "username": STRANGER, "password": {"env": "PASSWORD"}}
    security = {"protocol": "sasl_ssl", "ca_file": str(secure_kafka.ca), "sasl": sasl}
    config = tmp_path / "sidecar.yaml"
    config.write_text(
        yaml.safe_dump(
            {
                "name": name,
                "kafka": {"bootstrap_servers": [secure_kafka.sasl], "security": security},
                "topics": {"events": f"{name}.events"},
                "model": {"bundle": str(credit_bundle)},
                "delivery": {"mode": mode},
            }
        )
    )
    check = ("check", "--connect", "--format", "json", str(config))
    result = CliRunner(env={"PASSWORD": PASSWORD}).invoke(cli, check)
    told = yaml.safe_load(result.output)
    assert {each["check"] for each in told["problems"]} == OF_THE_TEST, result.output
    assert result.exit_code == 0
