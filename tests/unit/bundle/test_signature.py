from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from sidecar.bundle.graph import Graph, Port
from sidecar.bundle.manifest import Feature, FeatureType, ModelInput
from sidecar.bundle.signature import ColumnChoice, infer_inputs, table_columns
from sidecar.bundle.tables import Table, read_table
from sidecar.errors import BundleError

FLOATS = "tensor(float)"


def graph(*ports: Port) -> Graph:
    return Graph(inputs=ports, outputs=(), metadata={})


def matrix(width: int | None, kind: str = FLOATS) -> Graph:
    return graph(Port("X", kind, (None, width)))


def table(folder: Path, columns: Mapping[str, Sequence[str]]) -> Table:
    rows = [columns.keys(), *zip(*columns.values(), strict=True)]
    path = folder / "t.csv"
    path.write_text("\n".join(map(",".join, rows)))
    return read_table(path)


@pytest.fixture
def loans(tmp_path: Path) -> Table:
    return table(
        tmp_path,
        {
            "loan_id": ["7", "8", "9"],
            "amount": ["10.5", "20", "30"],
            "income": ["1", "", "3"],
            "vip": ["true", "false", "true"],
            "grade": ["1", "2", "2"],
            "sex": ["0", "1", "0"],
            "time": ["2026-01-01", "2026-01-02", "2026-01-03"],
            "repaid": ["1", "0", "1"],
        },
    )


def inferred(
    graph: Graph, table: Table, choice: ColumnChoice
) -> tuple[tuple[ModelInput, ...], tuple[Feature, ...]]:
    return infer_inputs(graph, table, choice)


def refusal(graph: Graph, table: Table, choice: ColumnChoice) -> list[str]:
    with pytest.raises(BundleError) as error:
        infer_inputs(graph, table, choice)
    return [f"{finding.path}: {finding.message}" for finding in error.value.findings]


def test_a_matrix_takes_the_columns_of_the_file_that_are_no_name_label_or_time(
    loans: Table,
) -> None:
    inputs, features = inferred(matrix(5), loans, ColumnChoice(label="repaid", time="time"))

    names = ("amount", "income", "vip", "grade", "sex")
    assert inputs == (ModelInput(name="X", dtype="float32", features=names),)
    assert features == (
        Feature(name="amount", type=FeatureType.FLOAT),
        Feature(name="income", type=FeatureType.INTEGER, required=False, categories=(1, 3)),
        Feature(name="vip", type=FeatureType.BOOLEAN, categories=(False, True)),
        Feature(name="grade", type=FeatureType.INTEGER, categories=(1, 2)),
        Feature(name="sex", type=FeatureType.INTEGER, categories=(0, 1)),
    )


@pytest.mark.parametrize(
    ("width", "with_sex"), [(5, True), (4, False)], ids=["a feature too", "not a feature"]
)
def test_the_width_tells_whether_a_group_is_a_feature(
    loans: Table, width: int, with_sex: bool
) -> None:
    choice = ColumnChoice(label="repaid", time="time", groups=("sex",))

    _, features = inferred(matrix(width), loans, choice)

    assert ("sex" in [feature.name for feature in features]) is with_sex


def test_named_features_decide_on_the_order(loans: Table) -> None:
    choice = ColumnChoice(features=("grade", "amount"))

    inputs, _ = inferred(matrix(None), loans, choice)

    assert inputs[0].features == ("grade", "amount")


def test_columns_that_do_not_fit_the_width_are_refused(loans: Table) -> None:
    assert refusal(matrix(3), loans, ColumnChoice(label="repaid", time="time")) == [
        "input X: takes 3 columns, and the file offers 5: amount, income, vip, grade, sex"
    ]


def test_an_open_width_needs_named_features(loans: Table) -> None:
    assert refusal(matrix(None), loans, ColumnChoice(label="repaid", time="time")) == [
        "input X: takes any number of columns, and the file offers 5: "
        "amount, income, vip, grade, sex"
    ]


def test_named_features_of_another_width_are_refused(loans: Table) -> None:
    assert refusal(matrix(3), loans, ColumnChoice(features=("grade", "amount"))) == [
        "--features: the model takes 3 columns, --features names 2"
    ]


def test_columns_that_do_not_exist_are_all_named(loans: Table) -> None:
    choice = ColumnChoice(label="paid", groups=("sex", "region"), numeric=("x",))

    assert refusal(matrix(3), loans, choice) == [
        "--label: there is no column `paid`",
        "--group: there is no column `region`",
        "--numeric: there is no column `x`",
    ]


def test_inputs_named_like_columns_take_each_its_own(loans: Table) -> None:
    named = graph(
        Port("vip", "tensor(bool)", (None, 1)),
        Port("amount", "tensor(double)", (None,)),
        Port("grade", "tensor(string)", (None, 1)),
    )

    inputs, features = inferred(named, loans, ColumnChoice())

    assert inputs == (
        ModelInput(name="vip", dtype="bool", features=("vip",)),
        ModelInput(name="amount", dtype="float64", features=("amount",), rank=1),
        ModelInput(name="grade", dtype="string", features=("grade",)),
    )
    assert features == (
        Feature(name="vip", type=FeatureType.BOOLEAN, categories=(False, True)),
        Feature(name="amount", type=FeatureType.FLOAT),
        Feature(name="grade", type=FeatureType.STRING, categories=("1", "2")),
    )


def test_counting_by_size_or_value_can_be_chosen(tmp_path: Path) -> None:
    columns = {
        "few": [str(number % 3) for number in range(50)],
        "many": [str(number) for number in range(50)],
        "whole": [f"{number % 4}.0" for number in range(50)],
    }
    rows = table(tmp_path, columns)

    _, plain = inferred(matrix(3), rows, ColumnChoice())
    _, chosen = inferred(
        matrix(3), rows, ColumnChoice(numeric=("few",), categorical=("many", "whole"))
    )

    assert [feature.categories for feature in plain] == [(0, 1, 2), None, None]
    assert [feature.categories for feature in chosen] == [
        None,
        tuple(range(50)),
        (0, 1, 2, 3),
    ]
    assert [feature.type.value for feature in plain] == ["integer", "integer", "float"]
    assert [feature.type.value for feature in chosen] == ["float", "integer", "float"]


MISFITS: dict[str, tuple[Sequence[str], str, ColumnChoice, str]] = {
    "text for numbers": (["a", "b"], FLOATS, ColumnChoice(), "holds text, and the input"),
    "fractions for whole numbers": (
        ["1.5", "2"],
        "tensor(int64)",
        ColumnChoice(),
        "holds fractions, and the input `x` is int64",
    ),
    "missing whole numbers": (
        ["1", ""],
        "tensor(int64)",
        ColumnChoice(),
        "lets the feature `x` be missing, which the int64 input `x` cannot say",
    ),
    "missing booleans": (
        ["true", ""],
        "tensor(bool)",
        ColumnChoice(),
        "lets the feature `x` be missing, which the bool input `x` cannot say",
    ),
    "no values": (["", ""], FLOATS, ColumnChoice(), "has no values"),
    "whole numbers beyond float64": (
        ["9007199254740993", "1"],
        "tensor(double)",
        ColumnChoice(),
        "holds whole numbers from",
    ),
    "categories of fractions": (
        ["1.5", "2"],
        FLOATS,
        ColumnChoice(categorical=("x",)),
        "holds fractions, so it is counted by size",
    ),
    "sizes of text": (
        ["a", "b"],
        "tensor(string)",
        ColumnChoice(numeric=("x",)),
        "is text, so it cannot be counted by size",
    ),
}


@pytest.mark.parametrize(
    ("values", "kind", "choice", "message"), MISFITS.values(), ids=MISFITS.keys()
)
def test_a_column_that_cannot_be_the_feature_is_refused(
    tmp_path: Path, values: Sequence[str], kind: str, choice: ColumnChoice, message: str
) -> None:
    rows = table(tmp_path, {"y": ["1"] * len(values), "x": values})

    (found,) = refusal(graph(Port("x", kind, (None, 1))), rows, choice)

    assert found.startswith(f"column x: {message}")


PORTS = {
    "a type without features": (Port("X", "tensor(float16)", (None, 2)), "has the type"),
    "an image": (Port("X", FLOATS, (None, 3, 8, 8)), "has more than two dimensions"),
    "one row at a time": (Port("X", FLOATS, (1, 2)), "takes 1 rows at a time"),
}


@pytest.mark.parametrize(("port", "message"), PORTS.values(), ids=PORTS.keys())
def test_an_input_that_takes_no_rows_of_features_is_refused(
    loans: Table, port: Port, message: str
) -> None:
    (found,) = refusal(graph(port), loans, ColumnChoice())

    assert found.startswith(f"input {port}: {message}")


def test_several_inputs_need_columns_of_their_names(loans: Table) -> None:
    ports = graph(Port("amount", FLOATS, (None, 1)), Port("age", FLOATS, (None, 1)))

    assert refusal(ports, loans, ColumnChoice()) == ["input age: has no column of its name"]


def test_only_the_most_frequent_texts_become_categories(tmp_path: Path) -> None:
    often = [f"often{number:04d}" for number in range(1_000)] * 2
    rows = table(tmp_path, {"y": ["1"] * 2_001, "x": [*often, "a rare one"]})

    _, (feature,) = inferred(
        graph(Port("x", "tensor(string)", (None, 1))), rows, ColumnChoice()
    )

    assert feature.categories == tuple(often[:1_000])


def test_columns_hold_codes_of_text_and_numbers_of_the_rest(loans: Table) -> None:
    features = (
        Feature(name="income", type=FeatureType.INTEGER, required=False),
        Feature(name="vip", type=FeatureType.BOOLEAN),
        Feature(name="time", type=FeatureType.STRING, categories=("2026-01-01", "2026-01-03")),
    )

    columns = table_columns(loans, features)

    np.testing.assert_array_equal(
        columns.matrix, [[1.0, 1.0, 0.0], [np.nan, 0.0, 2.0], [3.0, 1.0, 1.0]]
    )
    assert columns.text == {"time": ["2026-01-01", "2026-01-02", "2026-01-03"]}
