"""Each kind of fault: where, what, and how to mend it."""

import pytest

from sidecar.errors import Finding
from tests.unit.config.conftest import Findings

START = """\
kafka: {bootstrap_servers: [broker:9092]}
topics: {events: credit.events}
model: {bundle: models/credit}
"""


def kafka(security: str) -> str:
    return START.replace("[broker:9092]", f"[broker:9092], security: {security}")


@pytest.mark.parametrize(
    ("more", "path", "message", "mend"),
    [
        pytest.param(
            "monitor: {pane: 1m}",
            "$.monitor",
            "unknown key, line 4",
            "did you mean `monitors`?",
            id="unknown key with a near one",
        ),
        pytest.param(
            "log: {xyz: 1}",
            "$.log.xyz",
            "unknown key, line 4",
            "known: level, format",
            id="unknown key with none near",
        ),
        pytest.param(
            "log: {level: info}\nlog: {}",
            "$.log",
            "this key is written twice, line 5",
            "keep one of the two",
            id="duplicate key",
        ),
        pytest.param(
            "confidence: {threshold: {}}",
            "$.confidence.threshold.target_error",
            "missing, line 4",
            "add it: a number above 0 and below 1",
            id="missing key",
        ),
        pytest.param(
            "limits: [1]",
            "$.limits",
            "Expected `object`, got `array`, line 4",
            "write a section with `max_record_bytes`, `max_depth`, `in_flight_records`, "
            "`dead_letter_share`, `dead_letter_pause`, `shutdown`",
            id="list for a section",
        ),
        pytest.param(
            "monitors: {min_records: many}",
            "$.monitors.min_records",
            "Expected `int`, got `str`, line 4",
            "write a whole number at least 1",
            id="text for a number",
        ),
        pytest.param(
            "http: {ready_needs_kafka: 1}",
            "$.http.ready_needs_kafka",
            "Expected `bool`, got `int`, line 4",
            "write `true` or `false`",
            id="number for true",
        ),
        pytest.param(
            "breaker: {failures: 1.5}",
            "$.breaker.failures",
            "Expected `float` <= 1.0, line 4",
            "write a number from 0 to 1",
            id="out of range",
        ),
        pytest.param(
            "log: {level: inof}",
            "$.log.level",
            "Invalid enum value 'inof', line 4",
            "did you mean `info`? Write one of `debug`, `info`, `warning`, `error`",
            id="almost a word of the list",
        ),
        pytest.param(
            "log: {level: loud}",
            "$.log.level",
            "Invalid enum value 'loud', line 4",
            "write one of `debug`, `info`, `warning`, `error`",
            id="not of the list",
        ),
        pytest.param(
            "delivery: {mode: at_most_once}",
            "$.delivery.mode",
            "Invalid enum value 'at_most_once', line 4",
            "did you mean `at_least_once`? Write one of `at_least_once`, `exactly_once`",
            id="at most once",
        ),
        pytest.param(
            "breaker: {window: 30}",
            "$.breaker.window",
            "Expected a duration such as `250ms`, `5s`, `10m` or `24h`, got `30`, line 4",
            "write a duration above 0, for example `30s`",
            id="duration without a unit",
        ),
        pytest.param(
            "breaker: {window: 0s}",
            "$.breaker.window",
            "Expected more than 0, line 4",
            "write a duration above 0, for example `30s`",
            id="duration of nothing",
        ),
        pytest.param(
            "limits: {max_record_bytes: 1 MiBi}",
            "$.limits.max_record_bytes",
            "Expected a size such as `512KiB` or `1MiB`, got `1 MiBi`, line 4",
            "write a size above 0, for example `1MiB`",
            id="size",
        ),
        pytest.param(
            "http: {admin: localhost}",
            "$.http.admin",
            "Expected an address such as `127.0.0.1:9465`, got `localhost`, line 4",
            "write an address, for example `127.0.0.1:9465`",
            id="address",
        ),
        pytest.param(
            "name: my model",
            "$.name",
            "Expected `str` matching regex '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$', line 4",
            "write a name of letters, digits, `.`, `_` and `-`, at most 100",
            id="name",
        ),
        pytest.param(
            "input: {format: kserve, kserve: {max_pending: 100}}\n"
            "limits: {in_flight_records: 200}",
            "$.input.kserve.max_pending",
            "`100` is not less than half of `limits.in_flight_records`, `200`, line 4",
            "lower it, or raise that limit",
            id="no room beside what waits",
        ),
        pytest.param(
            "monitors:\n  pane: 1m\n  windows:\n  - 1m\n  - 90s",
            "$.monitors.windows[1]",
            "`90s` is no multiple of the pane, `1m`, line 8",
            "write for example `2m`",
            id="window of half a pane",
        ),
        pytest.param(
            "monitors: {windows: [1h, 5m, 1h]}",
            "$.monitors.windows",
            "windows stand twice or out of order, line 4",
            "write `[5m, 1h]`",
            id="windows out of order",
        ),
        pytest.param(
            "monitors: {drift: {delta: 0.1, warning_delta: 0.1}}",
            "$.monitors.drift.warning_delta",
            "`0.1` is not less than `delta`, `0.1`, line 4",
            "write for example `0.02`",
            id="warning no earlier than critical",
        ),
        pytest.param(
            "monitors: {windows: []}",
            "$.monitors.windows",
            "Expected `array` of length >= 1, line 4",
            "write a list, each a duration above 0",
            id="no window",
        ),
        pytest.param(
            "fallback: {rules: [{name: a}]}",
            "$.fallback.rules[0]",
            "the rule answers nothing, line 4",
            "add `label`, `score` or both",
            id="rule without an answer",
        ),
        pytest.param(
            "fallback:\n  rules:\n  - {name: a, label: x}\n  - {name: a, label: y}",
            "$.fallback.rules[1].name",
            "a rule before it is named `a` too, line 7",
            "give each rule its own name",
            id="rules of one name",
        ),
        pytest.param(
            "log: {level: !level info}",
            "$.log.level",
            "the tag `!level` is not supported, line 4",
            "leave it out",
            id="tag",
        ),
        pytest.param(
            "log: {level: '${LEVEL}'}",
            "$.log.level",
            "the variable `LEVEL` is not set, line 4",
            "set it, or write `${LEVEL:-default}`",
            id="variable that is not set",
        ),
        pytest.param(
            "log: {level: '${LEVEL'}",
            "$.log.level",
            "`${` does not begin a variable here, line 4",
            "write `${NAME}` or `${NAME:-default}`, or `$$` for a literal `$`",
            id="variable that does not end",
        ),
    ],
)
def test_a_fault_is_told_once(
    findings: Findings, more: str, path: str, message: str, mend: str
) -> None:
    assert findings(START + more) == [Finding(path, message, mend)]


@pytest.mark.parametrize(
    ("security", "path", "message", "mend"),
    [
        pytest.param(
            "{protocol: sasl_ssl}",
            "$.kafka.security.sasl",
            "missing, and `sasl_ssl` needs it, line 1",
            "add the section `sasl`",
            id="protocol without credentials",
        ),
        pytest.param(
            "{protocol: ssl, sasl: {mechanism: OAUTHBEARER, token: {env: T}}}",
            "$.kafka.security.sasl",
            "credentials that the protocol `ssl` does not use, line 1",
            "write `protocol: sasl_ssl`, or remove the section",
            id="credentials without their protocol",
        ),
        pytest.param(
            "{protocol: sasl_ssl, sasl: {mechanism: PLAIN, password: {env: P}}}",
            "$.kafka.security.sasl.username",
            "missing, and `PLAIN` needs it, line 1",
            "add `username`",
            id="PLAIN without a user",
        ),
        pytest.param(
            "{protocol: sasl_ssl, sasl: {mechanism: SCRAM-SHA-512, username: u}}",
            "$.kafka.security.sasl.password",
            "missing, and `SCRAM-SHA-512` needs it, line 1",
            "add `password`",
            id="SCRAM without a password",
        ),
        pytest.param(
            "{protocol: sasl_ssl, sasl: {mechanism: OAUTHBEARER}}",
            "$.kafka.security.sasl.token",
            "missing, and `OAUTHBEARER` needs it, line 1",
            "add `token`",
            id="OAUTHBEARER without a token",
        ),
        pytest.param(
            "{protocol: ssl, certificate_file: c.pem}",
            "$.kafka.security.certificate_file",
            "stands without `key_file`, line 1",
            "add `key_file`",
            id="certificate without its key",
        ),
        pytest.param(
            "{protocol: ssl, key_file: c.key}",
            "$.kafka.security.key_file",
            "stands without `certificate_file`, line 1",
            "add `certificate_file`",
            id="key without its certificate",
        ),
        pytest.param(
            "{ca_file: ca.pem}",
            "$.kafka.security.protocol",
            "`plaintext` goes in clear, and does not use the files for TLS, line 1",
            "write `ssl`, or remove the files",
            id="files for TLS without TLS",
        ),
    ],
)
def test_security_settings_fit_each_other(
    findings: Findings, security: str, path: str, message: str, mend: str
) -> None:
    assert findings(kafka(security)) == [Finding(path, message, mend)]


@pytest.mark.parametrize(
    ("registry", "path", "said"),
    [
        ("{url: 'registry:8081'}", ".url", "`https://host:port`, without a user"),
        ("{url: 'http://a:8081,http://b:8081'}", ".url", "without a user"),
        ("{url: 'https://u:hunter2@registry'}", ".url", "without a user"),
        ("{url: 'https://r', username: u}", ".username", "stands without `password`"),
        (
            "{url: 'https://r', password: {env: P}}",
            ".password",
            "stands without `username`",
        ),
        ("{url: 'https://r', key_file: k}", ".key_file", "stands without `certificate_file`"),
        ("{url: 'http://r', ca_file: c}", ".url", "goes in clear"),
        ("{timeout: 1s}", ".url", "missing"),
    ],
)
def test_what_is_wrong_with_a_registry_is_told(
    findings: Findings, registry: str, path: str, said: str
) -> None:
    (found,) = findings(f"{START}registry: {registry}\n")

    assert found.path == f"$.registry{path}"
    assert said in f"{found.message} {found.mend}"


def test_two_topics_of_one_name_clash(findings: Findings) -> None:
    text = START.replace("events: credit.events", "events: credit, state: credit")

    assert findings(text) == [
        Finding(
            "$.topics.state",
            "`credit` is the topic of `events` too, line 2",
            "give each its own topic",
        )
    ]


@pytest.mark.parametrize("password", ["hunter2", "'${PASSWORD}'", "{file: '', x: hunter2}"])
def test_a_literal_secret_is_refused_and_not_repeated(
    findings: Findings, password: str
) -> None:
    sasl = f"{{mechanism: PLAIN, username: u, password: {password}}}"

    found = findings(kafka(f"{{protocol: sasl_ssl, sasl: {sasl}}}"), {"PASSWORD": "hunter2"})

    assert [finding.path for finding in found] == ["$.kafka.security.sasl.password"]
    assert found[0].mend == "write `{file: PATH}` or `{env: NAME}`"
    assert "hunter2" not in repr(found)


def test_several_brokers_in_one_text_are_refused(findings: Findings) -> None:
    found = findings(START.replace("broker:9092", '"a:1,b:2"'))

    assert [(finding.path, finding.mend) for finding in found] == [
        ("$.kafka.bootstrap_servers[0]", "write `host:port`")
    ]


def test_an_empty_file_lacks_what_must_be_given(findings: Findings) -> None:
    found = findings("# nothing yet\n")

    assert [(finding.path, finding.message) for finding in found] == [
        ("$.kafka", "missing"),
        ("$.topics", "missing"),
        ("$.model", "missing"),
    ]
