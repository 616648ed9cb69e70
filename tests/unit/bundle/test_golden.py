import numpy as np

from sidecar.bundle.golden import choose_golden, golden_rows
from sidecar.bundle.manifest import Feature, FeatureType, Golden
from sidecar.bundle.rows import columns_of
from sidecar.events import Features, Reason, ScoreBatch

FEATURES = (
    Feature(name="amount", type=FeatureType.FLOAT),
    Feature(name="age", type=FeatureType.INTEGER, required=False),
    Feature(name="vip", type=FeatureType.BOOLEAN, required=False),
    Feature(name="grade", type=FeatureType.STRING, required=False, categories=("a", "b")),
)


def scores(label: list[int], score: list[float]) -> ScoreBatch:
    count = len(label)
    return ScoreBatch(
        label=np.array(label, np.int32),
        score=np.array(score),
        confidence=np.full(count, 0.9),
        reason=np.full(count, Reason.CONFIDENT, np.uint8),
    )


def test_rows_survive_the_way_to_columns_and_back() -> None:
    rows: list[dict[str, float | int | bool | str | None]] = [
        {"amount": 1.5, "age": 3, "vip": True, "grade": "b"},
        {"amount": 2.0, "age": None, "vip": None, "grade": None},
        {"amount": 0.1, "age": 0, "vip": False, "grade": "never seen"},
    ]
    columns = columns_of(FEATURES, rows)

    written = golden_rows(
        FEATURES, columns, scores([1, 0, 1], [0.5, 0.25, 1.0]), ("no", "yes"), np.arange(3)
    )

    np.testing.assert_array_equal(columns.matrix[:, 3], [1.0, np.nan, 2.0])
    assert written == [
        Golden(features=rows[0], label="yes", score=0.5),
        Golden(features=rows[1], label="no", score=0.25),
        Golden(features=rows[2], label="yes", score=1.0),
    ]
    assert [type(value) for value in written[0].features.values()] == [float, int, bool, str]


def test_every_label_and_missing_value_is_among_the_chosen() -> None:
    count = 1_000
    matrix = np.zeros((count, 3))
    matrix[700:, 1] = np.nan
    label = [int(row == 321) * 2 + int(row == 654) for row in range(count)]

    chosen = choose_golden(
        Features(matrix, {}), scores(label, [row / count for row in range(count)])
    )

    assert len(chosen) == 20
    assert {321, 654, 700} <= set(chosen.tolist())
    assert sorted(set(chosen.tolist())) == chosen.tolist()


def test_rows_without_an_answer_are_never_chosen() -> None:
    batch = scores([0] * 50, [row / 50 for row in range(50)])
    batch.reason[::2] = Reason.MODEL_ERROR

    chosen = choose_golden(Features(np.zeros((50, 1)), {}), batch)

    assert (chosen % 2 == 1).all()


def test_a_small_table_is_chosen_whole() -> None:
    chosen = choose_golden(Features(np.zeros((3, 1)), {}), scores([0, 0, 0], [0.1, 0.2, 0.3]))

    assert chosen.tolist() == [0, 1, 2]
