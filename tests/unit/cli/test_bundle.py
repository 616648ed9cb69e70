import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import cli
from tests.bundle_factory import build_credit_bundle, credit_rows

DATA = Path(__file__).parents[2] / "data"


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def build(out: Path, model: str, table: str, *more: str) -> Result:
    files = ("--model", DATA / "models" / model, "--reference", DATA / "tables" / table)
    return run("bundle", "build", *files, "--out", out, "--name", "m", "--version", "3", *more)


def test_build_makes_a_bundle_and_shows_it(tmp_path: Path) -> None:
    result = build(tmp_path / "shop", "shop_named.onnx", "shop.csv", "--label", "returned")

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Bundle        m 3\nTask          binary\n")
    assert result.stdout.endswith(f"Written to {tmp_path / 'shop'}\n")
    assert run("bundle", "verify", tmp_path / "shop").stdout == "m 3: 20 golden rows agree\n"


def test_build_passes_every_option_on(tmp_path: Path) -> None:
    build(
        tmp_path / "iris",
        "iris_logits.onnx",
        "iris.csv",
        *("--label", "species", "--labels", "setosa,versicolor", "--labels", "virginica"),
        *("--features", "sepal_length, sepal_width,petal_length,petal_width"),
        *("--activation", "softmax", "--group", "species", "--owner", "Ann"),
        *("--training-data", "iris", "--intended-use", "tests"),
    )

    view = json.loads(run("bundle", "inspect", "--json", tmp_path / "iris").stdout)

    manifest = view["manifest"]
    assert {name: manifest[name] for name in ("label", "groups", "owner", "training_data")} == {
        "label": "species",
        "groups": ["species"],
        "owner": "Ann",
        "training_data": "iris",
    }
    assert manifest["model"]["labels"] == ["setosa", "versicolor", "virginica"]
    assert manifest["model"]["activation"] == "softmax"
    assert sorted(view["evaluation"]["groups"]["species"]) == [
        "setosa",
        "versicolor",
        "virginica",
    ]
    assert (view["records"], view["golden"], manifest["intended_use"]) == (150, 20, "tests")


def test_counting_options_reach_the_signature(tmp_path: Path) -> None:
    build(
        tmp_path / "d",
        "diabetes_sklearn.onnx",
        "diabetes.jsonl",
        *("--label", "progression", "--numeric", "sex", "--categorical", "age"),
    )

    view = json.loads(run("bundle", "inspect", "--json", tmp_path / "d").stdout)

    counted = {f["name"]: "categories" in f for f in view["manifest"]["features"]}
    assert (counted["age"], counted["sex"]) == (True, False)


def test_build_says_what_windows_show(tmp_path: Path) -> None:
    build_credit_bundle(tmp_path, rows=credit_rows(28 * 250))
    known = ("--model", tmp_path / "credit.onnx", "--reference", tmp_path / "credit.csv")
    named = ("--name", "c", "--version", "1", "--out", tmp_path / "c")
    timed = ("--label", "decision", "--time", "time", "--windows", "24h, 2d")

    made = run("bundle", "build", *known, *named, *timed)

    start = made.stdout.index("Windows without drift")
    _, day, two_days, *_ = made.stdout[start:].splitlines()
    assert day.startswith("  24h  calibrated on 28 windows of about 250 rows: overdispersion ")
    assert two_days.startswith("  2d   calibrated on 14 windows of about 500 rows: ")
    view = json.loads(run("bundle", "inspect", "--json", tmp_path / "c").stdout)
    assert [each["windows"] for each in view["calibration"]] == [28, 14]


def test_without_a_time_the_windows_are_said_to_be_uncalibrated(tmp_path: Path) -> None:
    made = build(tmp_path / "shop", "shop_named.onnx", "shop.csv", "--label", "returned")

    assert "  All windows  uncalibrated: no time column\n" in made.stdout


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--windows", "1h,soon", "Expected a duration such as"),
        ("--windows", "0s", "A window must be longer than nothing."),
        ("--seasonal", "hour-of-day", "hour-of-week"),
    ],
)
def test_lengths_and_seasons_are_checked(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    refused = build(tmp_path / "shop", "shop_named.onnx", "shop.csv", option, value)

    assert refused.exit_code == 2
    assert message in refused.stderr


def test_a_regression_is_shown_without_a_word_on_labels(tmp_path: Path) -> None:
    made = build(
        tmp_path / "d", "diabetes_sklearn.onnx", "diabetes.jsonl", "--label", "progression"
    )

    assert made.stdout.startswith("Bundle        m 3\nTask          regression\nScores ")
    assert "Label" not in made.stdout
    assert "Calibrated" not in made.stdout


def test_an_existing_bundle_needs_force(tmp_path: Path) -> None:
    arguments = (tmp_path / "iris", "iris_tensor.onnx", "iris.csv", "--label", "species")
    first, second, third = build(*arguments), build(*arguments), build(*arguments, "--force")

    assert [result.exit_code for result in (first, second, third)] == [0, 2, 0]
    assert "--out: exists already\n" in second.stderr


def test_a_refusal_is_words_and_exit_code_2(tmp_path: Path) -> None:
    result = build(tmp_path / "iris", "iris_logits.onnx", "iris.csv", "--label", "species")

    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "Error: the model's answers cannot be read: 1 fault\n"
        "  1. outputs: scores have no names\n"
        "     Mend: name the classes in order: --labels no,yes\n"
    )


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_changed_bundle_is_refused(tmp_path: Path, command: str) -> None:
    folder = build_credit_bundle(tmp_path)
    (folder / "CARD.md").write_text("better than it is")

    result = run("bundle", command, folder)

    assert (result.exit_code, result.stdout) == (2, "")
    assert "CARD.md: is not the file of the manifest" in result.stderr


def test_inspect_shows_what_is_needed_to_send_events(tmp_path: Path) -> None:
    lines = run("bundle", "inspect", build_credit_bundle(tmp_path)).stdout.splitlines()

    start = lines.index("Features")
    assert [line.rstrip() for line in lines[start + 1 : start + 7]] == [
        "  amount       float    required        49.97 to 8158.89, median 1321.99",
        "  income       float    may be missing  934.45 to 65868.6, median 31638.4",
        "  age          integer  required        18 to 89, median 52",
        "  is_customer  boolean  required        false, true",
        "  segment      string   required        bronze, gold, silver",
        "  region       integer  required        1, 2, 7",
    ]


def test_inspect_warns_of_maps_per_row(tmp_path: Path) -> None:
    result = build(tmp_path / "iris", "iris_zipmap.onnx", "iris.csv", "--label", "species")

    assert "Export it with zipmap=False to have one tensor." in result.stdout
