"""Reading a whole config file."""

from pathlib import Path

import pytest

from sidecar.config.load import load_settings
from sidecar.config.settings import (
    CacheSettings,
    KafkaSettings,
    ModelSettings,
    MonitorSettings,
    RuleSettings,
    SidecarSettings,
    TargetError,
    TopicSettings,
)
from sidecar.config.values import Duration, Secret
from sidecar.errors import Finding
from tests.unit.config.conftest import Findings, Load

MINIMAL = """\
kafka: {bootstrap_servers: [broker:9092]}
topics: {events: credit.events}
model: {bundle: models/credit}
"""


def test_three_settings_are_enough(load: Load, tmp_path: Path) -> None:
    settings = load()

    assert settings == SidecarSettings(
        kafka=KafkaSettings(bootstrap_servers=["broker:9092"]),
        topics=TopicSettings(events="credit.events"),
        model=ModelSettings(bundle=tmp_path / "models/credit"),
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yml", MINIMAL),
        (
            "c.toml",
            'kafka.bootstrap_servers = ["broker:9092"]\n'
            'topics.events = "credit.events"\nmodel.bundle = "models/credit"\n',
        ),
        (
            "c.json",
            '{"kafka": {"bootstrap_servers": ["broker:9092"]},'
            ' "topics": {"events": "credit.events"}, "model": {"bundle": "models/credit"}}',
        ),
    ],
)
def test_the_same_settings_come_from_each_format(
    load: Load, tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)

    assert load_settings(tmp_path / name, {}) == load()


def test_values_are_read_as_people_write_them(load: Load, tmp_path: Path) -> None:
    rule = {"name": "norway", "when": {"country": {"in": ["NO", "DE"]}}, "label": "review"}
    sasl = {"mechanism": "PLAIN", "username": "u", "password": {"file": "secret"}}

    settings = load(
        {
            "kafka": {"security": {"protocol": "sasl_ssl", "sasl": sasl}},
            "confidence": {"threshold": {"target_error": 0.05}},
            "fallback": {"rules": [rule], "cache": {"max_age": "1.5h"}},
            "monitors": {"windows": ["10m", "1h"], "features": ["country"]},
        }
    )

    security = settings.kafka.security
    assert security.sasl is not None
    assert security.sasl.password == Secret(file=tmp_path / "secret")
    assert settings.confidence.threshold == TargetError(target_error=0.05)
    assert settings.fallback.rules == [
        RuleSettings(name="norway", when={"country": {"in": ["NO", "DE"]}}, label="review")
    ]
    assert settings.fallback.cache == CacheSettings(max_age=Duration(5_400_000))
    assert settings.monitors == MonitorSettings(
        windows=[Duration(600_000), Duration(3_600_000)], features=["country"]
    )


def test_an_empty_section_has_all_its_defaults(findings: Findings) -> None:
    assert findings(MINIMAL + "monitors:\nlimits: {}\n") == []


def test_five_faults_give_five_findings(findings: Findings) -> None:
    text = """\
kafka:
  bootstrap_server: [broker:9092]
topics: {events: credit.events}
model:
  bundle: models/credit
  timeout: 5
  threads: 0
"""

    assert findings(text + "monitors: {pane: 1m, windows: [90s]}\n") == [
        Finding(
            "$.kafka.bootstrap_servers", "missing, line 1", "add it: a list, each `host:port`"
        ),
        Finding(
            "$.kafka.bootstrap_server",
            "unknown key, line 2",
            "did you mean `bootstrap_servers`?",
        ),
        Finding(
            "$.model.timeout",
            "Expected a duration such as `250ms`, `5s`, `10m` or `24h`, got `5`, line 6",
            "write a duration above 0, for example `500ms`",
        ),
        Finding(
            "$.model.threads",
            "Expected `int` >= 1, line 7",
            "write `auto` or a whole number from 1 to 256",
        ),
        Finding(
            "$.monitors.windows[0]",
            "`90s` is no multiple of the pane, `1m`, line 8",
            "write for example `2m`",
        ),
    ]
