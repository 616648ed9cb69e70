"""A folder made from a model and rows: what it says loads, fits the bundle and passes."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.cases import load_cases
from sidecar.app.starting import StartRequest, start_folder
from sidecar.app.testing import run_cases
from sidecar.bundle.signature import ColumnChoice
from sidecar.config.load import load_settings
from sidecar.config.settings import OutcomeSettings, SidecarSettings, TargetError
from sidecar.errors import Finding, UserError
from tests.bundle_factory import credit_model, credit_rows, write_csv

DATA = Path(__file__).parents[2] / "data"


def request(folder: Path, model: str, table: str, label: str = "", **more: Any) -> StartRequest:
    return StartRequest(
        model=DATA / "models" / model,
        reference=DATA / "tables" / table,
        folder=folder / "made",
        name="m",
        created="2026-01-31T12:00:00Z",
        columns=ColumnChoice(label=label),
        **more,
    )


def settings_of(folder: Path) -> SidecarSettings:
    return load_settings(folder / "made" / "sidecar.yaml", {})


def passed(folder: Path) -> list[str]:
    """Run the tests of a folder and give their names; nothing fails, nothing is unreached."""
    suite = load_cases(folder / "made" / "sidecar.test.yaml", {})
    report = asyncio.run(run_cases(settings_of(folder), suite))
    assert (report.failed, report.unreached) == (0, ())
    return [result.name for result in report.results]


def all_tests(feature: str) -> list[str]:
    return [
        "the model answers where it is sure",
        f"{feature} of a wrong type is refused",
        f"an event without {feature} is refused",
        "the default answers when the model fails",
    ]


@pytest.mark.parametrize(
    ("model", "table", "label", "feature"),
    [
        ("shop_named.onnx", "shop.csv", "returned", "price"),
        ("cancer_zipmap.onnx", "cancer.csv", "diagnosis", "mean_radius"),
        ("iris_tensor.onnx", "iris.csv", "species", "sepal_length"),
        ("wine_lightgbm.onnx", "wine.parquet", "cultivar", "alcohol"),
    ],
)
def test_a_classifier_with_labels_has_a_target_error_and_tests_that_pass(
    tmp_path: Path, model: str, table: str, label: str, feature: str
) -> None:
    start_folder(request(tmp_path, model, table, label))

    settings = settings_of(tmp_path)
    assert isinstance(settings.confidence.threshold, TargetError)
    assert settings.fallback.default == OutcomeSettings(label="undecided")
    assert passed(tmp_path) == all_tests(feature)


def test_without_labels_the_model_answers_always(tmp_path: Path) -> None:
    columns = ColumnChoice(
        features=("sepal_length", "sepal_width", "petal_length", "petal_width")
    )
    asked = request(tmp_path, "iris_tensor.onnx", "iris.csv")

    start_folder(replace(asked, columns=columns))

    assert settings_of(tmp_path).confidence.threshold == 0
    assert passed(tmp_path) == all_tests("sepal_length")


@pytest.mark.parametrize("model", ["diabetes_sklearn.onnx", "diabetes_lightgbm.onnx"])
def test_a_regression_has_a_score_for_its_default(tmp_path: Path, model: str) -> None:
    start_folder(request(tmp_path, model, "diabetes.jsonl", "progression"))

    default = settings_of(tmp_path).fallback.default
    assert default.label is None
    assert default.score is not None
    assert 100 < default.score < 200
    assert passed(tmp_path) == all_tests("age")


def test_names_and_values_that_yaml_would_read_otherwise_stay_as_they_are(
    tmp_path: Path,
) -> None:
    rows = [{**row, "segment": "${gold}: #1"} for row in credit_rows(400)]
    (tmp_path / "credit.onnx").write_bytes(credit_model())
    asked = request(tmp_path, "", "", "decision")
    table = write_csv(tmp_path / "credit.csv", rows)

    start_folder(replace(asked, model=tmp_path / "credit.onnx", reference=table))

    assert passed(tmp_path) == all_tests("amount")


def test_the_rule_in_the_comment_works_when_it_is_no_comment(tmp_path: Path) -> None:
    start_folder(request(tmp_path, "shop_named.onnx", "shop.csv", "returned"))
    config = tmp_path / "made" / "sidecar.yaml"

    config.write_text(
        config.read_text().replace("  # rules:", "  rules:").replace("  #   -", "    -")
    )

    [rule] = settings_of(tmp_path).fallback.rules
    assert (rule.name, rule.when, rule.label) == ("my-rule", {"price": {"gt": 72.61}}, "review")


def test_events_are_the_golden_rows(tmp_path: Path) -> None:
    bundle = start_folder(request(tmp_path, "shop_named.onnx", "shop.csv", "returned"))

    lines = (tmp_path / "made" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"id": f"golden-{number}", "features": row.features}
        for number, row in enumerate(bundle.golden, 1)
    ]


def test_a_folder_that_holds_something_needs_force(tmp_path: Path) -> None:
    asked = request(tmp_path, "shop_named.onnx", "shop.csv", "returned")
    kept = tmp_path / "made" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")

    with pytest.raises(UserError) as refused:
        start_folder(asked)
    assert [path.name for path in kept.parent.iterdir()] == ["mine.txt"]

    start_folder(replace(asked, force=True))
    mend = "choose another folder, or write into this one with --force"
    assert refused.value.findings == (Finding("FOLDER", "exists already", mend),)
    assert kept.read_text() == "mine"
    assert passed(tmp_path) == all_tests("price")


def test_rows_that_do_not_fit_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        start_folder(request(tmp_path, "shop_named.onnx", "iris.csv"))

    assert list(tmp_path.iterdir()) == []


def test_brokers_are_those_that_are_given(tmp_path: Path) -> None:
    brokers = ("b-1:9093", "b-2:9093")

    start_folder(request(tmp_path, "shop_named.onnx", "shop.csv", "returned", brokers=brokers))

    assert settings_of(tmp_path).kafka.bootstrap_servers == list(brokers)
