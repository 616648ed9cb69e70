"""What `check` finds in config files and bundles: every check is provoked by one config."""

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.app.building import BuildRequest, build_bundle
from sidecar.app.checking import Problem, check_files
from sidecar.app.checks.check import Check, Severity
from sidecar.app.checks.cluster import CLUSTER_CHECKS
from sidecar.app.checks.config import CONFIG_CHECKS
from sidecar.app.checks.fit import FIT_CHECKS
from sidecar.app.checks.meeting import Meeting
from sidecar.app.checks.reference import reference
from sidecar.app.checks.topics import TOPIC_CHECKS
from sidecar.bundle.signature import ColumnChoice
from tests.bundle_factory import build_credit_bundle, credit_rows
from tests.fakes import FakeClock
from tests.unit.config.conftest import overlay

DOCS = Path(__file__).parents[3] / "docs"
DATA = Path(__file__).parents[2] / "data"
SASL = {"mechanism": "PLAIN", "username": "app", "password": {"env": "PASSWORD"}}
LABELLED = {"label": "review"}
BASIC = {"username": "credit", "password": {"env": "REGISTRY"}}
UNCALIBRATED = "windows-are-uncalibrated"
NO_EXTRA = "registry-extra-is-missing"
NO_TRACES = "traces-extra-is-missing"
COLLECTOR = "http://collector:4318/v1/traces"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two bundles, `credit` and the regression `diabetes`; not to be changed."""
    folder = tmp_path_factory.mktemp("bundles")
    build_credit_bundle(folder)
    model, rows = DATA / "models" / "diabetes_sklearn.onnx", DATA / "tables" / "diabetes.jsonl"
    build_bundle(request(model, rows, folder / "diabetes", label="progression"))
    return folder


def request(model: Path, rows: Path, out: Path, *, label: str) -> BuildRequest:
    return BuildRequest(
        model=model,
        reference=rows,
        out=out,
        name=out.name,
        version="1",
        created="2026-01-31T12:00:00Z",
        columns=ColumnChoice(label=label),
    )


def config(bundle: Path, changes: Mapping[str, object]) -> dict[str, object]:
    minimal: dict[str, object] = {
        "kafka": {"bootstrap_servers": ["broker:9092"]},
        "topics": {"events": "credit.events"},
        "model": {"bundle": str(bundle)},
    }
    return overlay(minimal, changes)


def written(path: Path, tree: object) -> Path:
    path.write_text(yaml.safe_dump(tree, sort_keys=False), encoding="utf-8")
    return path


async def problems(path: Path, tree: object) -> list[Problem]:
    return await check_files([written(path, tree)], {}, FakeClock())


async def found(folder: Path, tree: object) -> list[tuple[str, str]]:
    """Give the check and the setting of each problem, but for what every small bundle has."""
    told = await problems(folder / "sidecar.yaml", tree)
    return [(p.check, p.path) for p in told if p.check != UNCALIBRATED]


def rules(*conditions: object, label: str = "review", **more: object) -> dict[str, object]:
    """Give a fallback with these rules, and a threshold that makes use of them."""
    named = [
        {"name": f"r{index}", "when": when, "label": label}
        for index, when in enumerate(conditions)
    ]
    return {
        "fallback": {"rules": named, "default": LABELLED},
        "confidence": {"threshold": 0.7},
        **more,
    }


# --- the config alone ------------------------------------------------------------------------

CONFIG_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "credentials-go-in-clear": (
        {"kafka": {"security": {"protocol": "sasl_plaintext", "sasl": SASL}}},
        "$.kafka.security.protocol",
    ),
    "certificates-are-not-matched": (
        {"kafka": {"security": {"protocol": "ssl", "check_hostname": False}}},
        "$.kafka.security.check_hostname",
    ),
    "admin-is-open": ({"http": {"admin": "0.0.0.0:9465"}}, "$.http.admin"),
    "registry-password-goes-in-clear": (
        {"registry": {"url": "http://registry:8081", **BASIC}},
        "$.registry.url",
    ),
    "registry-outlasts-the-shutdown": (
        {"registry": {"url": "http://registry:8081", "timeout": "21s"}},
        "$.registry.timeout",
    ),
    "trace-headers-go-in-clear": (
        {
            "traces": {
                "endpoint": COLLECTOR,
                "headers": [{"name": "api-key", "value": {"env": "KEY"}}],
            }
        },
        "$.traces.endpoint",
    ),
    "listeners-share-a-port": ({"http": {"admin": "127.0.0.1:9464"}}, "$.http.admin"),
    "in-flight-is-below-a-batch": (
        {"limits": {"in_flight_records": 4_095}},
        "$.limits.in_flight_records",
    ),
    "shutdown-outlasts-the-grace": ({"limits": {"shutdown": "30s"}}, "$.limits.shutdown"),
    "shutdown-leaves-no-time": ({"limits": {"shutdown": "5.4s"}}, "$.limits.shutdown"),
    "session-timeout-is-unusual": (
        {"kafka": {"session_timeout": "31m"}},
        "$.kafka.session_timeout",
    ),
    "model-outlasts-a-rebalance": (
        {"model": {"timeout": "6s"}, "kafka": {"rebalance_timeout": "11s"}},
        "$.model.timeout",
    ),
    "delivery-ends-before-a-request": (
        {"kafka": {"delivery_timeout": "29s"}},
        "$.kafka.delivery_timeout",
    ),
    "threads-exceed-the-cpus": ({"model": {"threads": 256}}, "$.model.threads"),
    "rule-is-never-reached": (
        rules({"any": [{"age": {"lt": 21}}, {}]}, {"age": {"lt": 30}}),
        "$.fallback.rules[1]",
    ),
    "cache-is-never-asked": (
        rules({}) | {"fallback": {"rules": [{"name": "all", "label": "review"}], "cache": {}}},
        "$.fallback.cache",
    ),
    "setting-has-no-effect": (
        {"topics": {"signals": "told"}, "monitors": {"drift": {"signals": "none"}}},
        "$.topics.signals",
    ),
    "envelope-is-switched-off": (
        {"output": {"cloudevents": {"source": "/loans"}}},
        "$.output.cloudevents",
    ),
    "lateness-exceeds-the-windows": (
        {"monitors": {"windows": ["5m"]}},
        "$.monitors.lateness",
    ),
    "no-feature-is-watched": ({"monitors": {"features": []}}, "$.monitors.features"),
}


@pytest.mark.parametrize("check", CONFIG_CASES)
async def test_a_check_of_the_config_finds_its_case(
    bundles: Path, tmp_path: Path, check: str
) -> None:
    changes, path = CONFIG_CASES[check]

    assert await found(tmp_path, config(bundles / "credit", changes)) == [(check, path)]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="the smallest config"),
        pytest.param(
            {"kafka": {"security": {"protocol": "sasl_ssl", "sasl": SASL}}}, id="sasl over tls"
        ),
        pytest.param({"http": {"admin": "[::1]:9465"}}, id="loopback of IPv6"),
        pytest.param({"http": {"metrics": "0.0.0.0:0", "admin": "127.0.0.1:0"}}, id="port 0"),
        pytest.param(
            {"http": {"metrics": "10.0.0.1:9000", "admin": "127.0.0.1:9000"}},
            id="one port of two hosts",
        ),
        pytest.param(
            {"output": {"envelope": "cloudevents", "cloudevents": {"source": "/loans"}}},
            id="decisions in an envelope",
        ),
        pytest.param(
            {"registry": {"url": "https://registry/schemas", **BASIC}}, id="registry over tls"
        ),
        pytest.param({"limits": {"shutdown": "29s"}}, id="a second before the grace ends"),
        pytest.param({"kafka": {"session_timeout": "6s"}}, id="the shortest usual session"),
        pytest.param({"model": {"threads": 1}}, id="one thread"),
        pytest.param(rules({"age": {"lt": 21}}, {"age": {"lt": 30}}), id="two rules"),
        pytest.param(rules({"age": {"ge": 21, "le": 21}}), id="bounds that touch"),
        pytest.param(rules({"not": {"segment": "gold"}}), id="a category of the reference"),
        pytest.param(rules({"income": {"missing": True}}), id="a missing optional feature"),
        pytest.param(
            rules({"age": {"missing": True}}, input={"on_missing": "fallback"}),
            id="a missing feature that falls back",
        ),
        pytest.param(
            {"input": {"on_out_of_range": "fallback"}, "fallback": {"default": LABELLED}},
            id="fallback without rules",
        ),
        pytest.param(
            {"confidence": {"threshold": {"target_error": 0.3}}}
            | {"fallback": {"default": LABELLED}},
            id="target error",
        ),
    ],
)
async def test_a_sound_config_has_no_problems(
    bundles: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    assert await found(tmp_path, config(bundles / "credit", changes)) == []


# --- config and bundle -----------------------------------------------------------------------

FIT_CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "rules-answer-failures-only": (
        "credit",
        rules({"age": {"lt": 21}}, confidence={}),
        "$.confidence.threshold",
    ),
    "threshold-has-no-effect": (
        "diabetes",
        {"confidence": {"threshold": 0.5}},
        "$.confidence.threshold",
    ),
    "model-hardly-answers": (
        "credit",
        {"confidence": {"threshold": 1.0}, "fallback": {"default": LABELLED}},
        "$.confidence.threshold",
    ),
    "answer-may-be-empty": (
        "credit",
        {"confidence": {"threshold": 0.7}, "fallback": {"default": {"score": 0.5}}},
        "$.fallback.default",
    ),
    "label-looks-misspelt": (
        "credit",
        rules({"age": {"lt": 21}}, label="aprove"),
        "$.fallback.rules[0].label",
    ),
    "rule-waits-for-what-is-rejected": (
        "credit",
        rules({"age": {"missing": True}}),
        "$.fallback.rules[0].when.age",
    ),
    "rule-can-never-hold": (
        "credit",
        rules({"any": [{"region": 2}, {"age": {"gt": 60, "le": 60}}]}),
        "$.fallback.rules[0].when.any[1].age",
    ),
    "category-was-never-seen": (
        "credit",
        rules({"not": {"segment": ["gold", "sliver"]}}),
        "$.fallback.rules[0].when.not.segment",
    ),
    "windows-were-not-measured": (
        "credit",
        {"monitors": {"windows": ["5m", "30m", "1h"]}},
        "$.monitors.windows",
    ),
    "windows-need-much-memory": (
        "diabetes",
        {"monitors": {"pane": "1s", "windows": ["30d"]}},
        "$.monitors.windows",
    ),
    "memory-is-short": (
        "credit",
        {"kafka": {"fetch_max_bytes": "1000000GiB"}},
        "$.kafka.fetch_max_bytes",
    ),
}


@pytest.mark.parametrize("check", FIT_CASES)
async def test_a_check_of_the_fit_finds_its_case(
    bundles: Path, tmp_path: Path, check: str
) -> None:
    name, changes, path = FIT_CASES[check]

    assert await found(tmp_path, config(bundles / name, changes)) == [(check, path)]


@pytest.mark.parametrize(
    ("bundle", "message"),
    [
        ("diabetes", "uncalibrated: the reference rows have no time"),
        ("credit", "uncalibrated: the bundle has too few windows of 5m, 24h"),
    ],
)
async def test_a_bundle_without_calibration_is_told_and_is_no_fault(
    bundles: Path, tmp_path: Path, bundle: str, message: str
) -> None:
    tree = config(bundles / bundle, {"monitors": {"windows": ["5m", "24h"]}})

    (told,) = await problems(tmp_path / "sidecar.yaml", tree)

    assert (told.check, told.severity, told.message) == (UNCALIBRATED, Severity.NOTE, message)


async def test_a_calibrated_bundle_has_nothing_to_tell(tmp_path: Path) -> None:
    build_credit_bundle(tmp_path, rows=credit_rows(28 * 250))
    tree = config(tmp_path / "credit", {"monitors": {"windows": ["24h"]}})

    assert await problems(tmp_path / "sidecar.yaml", tree) == []


async def test_on_missing_without_a_required_feature_has_no_effect(tmp_path: Path) -> None:
    lines = (DATA / "tables" / "cancer_incomplete.csv").read_text(encoding="utf-8").splitlines()
    rows = [line.split(",") for line in lines]
    for index, row in enumerate(rows[1:]):
        row[index % (len(row) - 1)] = ""  # not the label, which comes last
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(map(",".join, rows)) + "\n", encoding="utf-8")
    model = DATA / "models" / "cancer_incomplete.onnx"
    build_bundle(request(model, table, tmp_path / "cancer", label="diagnosis"))

    tree = config(tmp_path / "cancer", {"input": {"on_missing": "flag"}})

    assert await found(tmp_path, tree) == [("on-missing-has-no-effect", "$.input.on_missing")]


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize(
    ("section", "package", "place", "extra", "check"),
    [
        (
            {"registry": {"url": "http://registry:8081"}},
            "fastavro",
            "$.registry",
            "registry",
            NO_EXTRA,
        ),
        (
            {"traces": {"endpoint": COLLECTOR}},
            "opentelemetry.sdk",
            "$.traces.endpoint",
            "traces",
            NO_TRACES,
        ),
    ],
)
def test_an_extra_that_is_not_installed_is_named(
    bundles: Path,
    tmp_path: Path,
    section: dict[str, Any],
    package: str,
    place: str,
    extra: str,
    check: str,
    command: str,
) -> None:
    path = written(tmp_path / "sidecar.yaml", config(bundles / "credit", section))
    without = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from sidecar.cli.main import main; main([{command!r}, {str(path)!r}])"
    )

    done = subprocess.run(
        [sys.executable, "-c", without], capture_output=True, text=True, check=False
    )

    said = done.stdout + done.stderr
    assert done.returncode == {"check": 1, "run": 2}[command]
    assert place in said
    assert package in said
    assert f"pip install 'sidecar[{extra}]'" in said
    assert "Traceback" not in said
    assert (check in said) == (command == "check")


def test_every_check_has_its_case() -> None:
    names = [check.name for check in CONFIG_CHECKS]
    names.remove(NO_EXTRA)
    names.remove(NO_TRACES)
    assert names == list(CONFIG_CASES)
    others = {"on-missing-has-no-effect", UNCALIBRATED}
    assert {check.name for check in FIT_CHECKS} - set(FIT_CASES) == others


@pytest.mark.parametrize("check", [*CLUSTER_CHECKS, *TOPIC_CHECKS], ids=lambda c: c.name)
def test_every_check_of_a_cluster_is_provoked_on_a_broker(check: Check[Meeting]) -> None:
    assert check.name in EXPECTED_ON_A_BROKER


def expected_words(suite: Path) -> set[str]:
    """Give the text constants of a suite's tests; what only a docstring says is none."""
    tree = ast.parse(suite.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in said
    }


EXPECTED_ON_A_BROKER = {
    word
    for suite in (Path(__file__).parents[2] / "integration").glob("test_check_*.py")
    for word in expected_words(suite)
}


def test_the_page_lists_every_check() -> None:
    page = (DOCS / "check.md").read_text(encoding="utf-8")

    assert page == reference(), "run `make docs`"


# --- faults that `run` refuses ---------------------------------------------------------------


async def test_all_faults_of_a_config_come_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.yaml"
    path.write_text("name: a b\nkafka: {}\nlimit: {}\n", encoding="utf-8")

    told = await check_files([path], {}, FakeClock())

    assert [(p.line, p.path, p.message) for p in told] == [
        (1, "$.name", "Expected `str` matching regex '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$'"),
        (1, "$.topics", "missing"),
        (1, "$.model", "missing"),
        (2, "$.kafka.bootstrap_servers", "missing"),
        (3, "$.limit", "unknown key"),
    ]
    assert {(p.check, p.severity) for p in told} == {("config-fault", Severity.ERROR)}


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("c.yaml", "a: 1\nb: [1, 2\nc: 3", 3),
        ("c.json", '{\n"a" 1}', 2),
        ("c.toml", "a = 1\nb = \n", 2),
    ],
)
async def test_a_syntax_error_has_its_line(
    tmp_path: Path, name: str, text: str, line: int
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")

    told = await check_files([tmp_path / name], {}, FakeClock())

    assert [(p.line, p.path, p.mend) for p in told] == [(line, "$", "mend the syntax there")]


async def test_a_bundle_that_is_not_there_is_a_fault_of_its_setting(tmp_path: Path) -> None:
    told = await problems(tmp_path / "sidecar.yaml", config(tmp_path / "nowhere", {}))

    assert told == [
        Problem(
            file=str(tmp_path / "sidecar.yaml"),
            line=7,
            path="$.model.bundle",
            check="bundle-fault",
            message=f"there is no folder `{tmp_path / 'nowhere'}`",
            mend="build it with `sidecar bundle build`, or mend the path",
        )
    ]


async def test_changed_files_of_a_bundle_are_named(bundles: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "credit"
    shutil.copytree(bundles / "credit", bundle)
    for name in ("reference.json", "calibration.json"):
        with (bundle / name).open("a", encoding="utf-8") as file:
            file.write("\n")

    told = await problems(tmp_path / "sidecar.yaml", config(bundle, {}))

    assert {(p.file, p.line, p.message) for p in told} == {
        (str(bundle / name), None, "is not the file of the manifest: its sha256 differs")
        for name in ("reference.json", "calibration.json")
    }


async def test_golden_rows_are_run(bundles: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "credit"
    shutil.copytree(bundles / "credit", bundle)
    rows = (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(rows[0])
    first["score"] = 1 - first["score"]
    replace_file(bundle, "golden.jsonl", "\n".join([json.dumps(first), *rows[1:]]) + "\n")

    told = await problems(tmp_path / "sidecar.yaml", config(bundle, {}))

    (fault,) = [p for p in told if p.check != UNCALIBRATED]
    assert (fault.file, fault.check) == (str(bundle / "golden.jsonl"), "bundle-fault")
    assert "line 1: the model answers" in fault.message


async def test_all_that_does_not_fit_the_bundle_is_told_with_lines(
    bundles: Path, tmp_path: Path
) -> None:
    changes = rules({"agee": 3}) | {
        "confidence": {"threshold": {"target_error": 0.0001}},
        "monitors": {"features": ["amount", "colour"]},
    }

    told = await problems(tmp_path / "sidecar.yaml", config(bundles / "credit", changes))

    assert [(p.check, p.path) for p in told] == [
        ("fit-fault", "$.fallback.rules[0].when.agee"),
        ("fit-fault", "$.confidence.threshold"),
        ("fit-fault", "$.monitors.features"),
    ]
    assert all(p.line is not None and p.line > 7 for p in told)


async def test_every_file_is_checked(bundles: Path, tmp_path: Path) -> None:
    one = written(tmp_path / "one.yaml", {"kafka": 1})
    slow = config(bundles / "credit", {"limits": {"shutdown": "1m"}})
    two = written(tmp_path / "two.yaml", slow)

    told = await check_files([one, two], {}, FakeClock())

    assert {(p.file, p.severity) for p in told} == {
        (str(one), Severity.ERROR),
        (str(two), Severity.WARNING),
        (str(two), Severity.NOTE),
    }


async def test_a_cluster_is_not_asked_while_its_names_are_unknown(tmp_path: Path) -> None:
    path = written(tmp_path / "sidecar.yaml", config(tmp_path / "nowhere", {}))

    told = await check_files([path], {}, FakeClock(), connect_s=5)

    assert {(p.check, p.severity) for p in told} == {
        ("bundle-fault", Severity.ERROR),
        ("cluster-not-asked", Severity.NOTE),
    }


def replace_file(bundle: Path, name: str, text: str) -> None:
    """Put other content under a name, with its digest."""
    old = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    (bundle / name).write_text(text, encoding="utf-8")
    new = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
    manifest = bundle / "manifest.toml"
    content = manifest.read_text(encoding="utf-8")
    manifest.write_text(content.replace(old, new), encoding="utf-8")
