from itertools import islice

import msgspec
import numpy as np
import onnxruntime as ort
import pytest

from loadtests import data, sizing
from loadtests.race import Result
from loadtests.scenarios.graphs import logistic_model
from loadtests.scenarios.inputs import CUSTOMERS, SOURCES
from loadtests.scenarios.lines import Line, lines
from loadtests.scenarios.report import by_features, pictures, ratios, spread, table
from loadtests.scenarios.same import differences

NOW_MS = 1_700_000_000_000
NORMAL, BAD = Line("normal", "as ever"), Line("bad", "worse", aim=0.8)


def outcome(name: str, cpu_s: float, wall_s: float = 10.0) -> Result:
    return Result(
        contestant=name,
        events=1_000_000,
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_rss_bytes=1 << 20,
        written=1_000_000,
        exit_code=0,
        stages_us={},
        answers={"model confident": 0.75, "rule low_confidence": 0.25},
    )


ROUNDS = [
    [outcome("normal", 8.0), outcome("bad", 10.0)],
    [outcome("bad", 20.0), outcome("normal", 10.0)],
]


def test_a_line_is_held_to_the_one_beside_it_in_the_same_round() -> None:
    assert ratios(ROUNDS, BAD, lambda run: 1 / run.cpu_us) == [0.8, 0.5]
    assert spread([0.8, 0.5]) == "0.65 (0.50 to 0.80)"


def test_the_table_has_a_row_for_each_line_that_was_run() -> None:
    rows = table(ROUNDS, [NORMAL, BAD, Line("idle", "not run")])

    assert rows[3].startswith(
        "| bad | 15.0 | 100,000 | 0.65 (0.50 to 0.80) | 1.00 (1.00 to 1.00) | normal | 0.8 |"
    )
    assert rows[-2:] == ["* normal: as ever.", "* bad: worse."]


def test_only_lines_with_an_aim_are_in_the_picture_of_aims() -> None:
    drawn = pictures(ROUNDS, [NORMAL, BAD])

    assert list(drawn) == ["ratios"]
    assert ">bad<" in drawn["ratios"]
    assert ">normal<" not in drawn["ratios"]


def test_costs_are_by_the_number_of_features() -> None:
    rounds = [[outcome("features-256", 50.0), outcome("features-16", 10.0)]]

    assert by_features(rounds) == [(16, 10.0), (256, 50.0)]


def test_every_line_has_a_line_beside_it_and_a_name_of_its_own() -> None:
    every = lines()
    names = [line.name for line in every]

    assert len(set(names)) == len(names)
    assert {line.beside for line in every} <= set(names)
    assert {line.events for line in every} <= set(SOURCES)


def test_one_record_in_a_hundred_is_cut_off() -> None:
    values = [value for _, value in islice(SOURCES["malformed-1"](200, NOW_MS), 200)]

    assert [at for at, value in enumerate(values) if not value.endswith(b"}}")] == [0, 100]


def test_messagepack_says_what_json_says() -> None:
    packed, plain = SOURCES["msgpack"](5, NOW_MS), SOURCES["json"](5, NOW_MS)

    for (_, ours), (_, theirs) in zip(packed, plain, strict=True):
        assert msgspec.msgpack.decode(ours) == msgspec.json.decode(theirs)


def test_every_customer_is_known_before_the_model_is_unsure() -> None:
    keys = [key for key, _ in islice(SOURCES["cached"](CUSTOMERS + 10, NOW_MS), CUSTOMERS)]

    assert len(set(keys)) == CUSTOMERS


def test_the_logistic_regression_learns_and_bears_what_is_missing() -> None:
    table = data.columns(4_000)
    truth = data.truth(table)
    matrix = np.column_stack(list(table.values())).astype(np.float32)

    session = ort.InferenceSession(logistic_model(table, truth))
    probabilities = session.run(["probabilities"], {"features": matrix})[0]

    assert np.isnan(matrix).any()
    assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    # Those that say the commoner class always are right as often as that is common.
    assert (probabilities.argmax(axis=1) == truth).mean() > truth.mean() + 0.05


def test_the_sizing_rule_is_the_line_through_the_points() -> None:
    costs = sizing.fit([(16, 10.0), (64, 22.0), (256, 70.0)])

    assert costs is not None
    assert tuple(costs) == pytest.approx((6.0, 0.25))
    assert sizing.cores(10_000, costs.of(16, model_us=4.0), use=0.7) == pytest.approx(0.2)


def test_one_point_gives_no_rule() -> None:
    assert sizing.fit([(16, 10.0)]) is None


def test_statistics_of_two_fleets_are_compared_number_by_number() -> None:
    one = {"a": 1.0, "b": 2.0, "c": 3.0}
    two = {"a": 1.0 + 1e-12, "b": 2.1, "d": 4.0}

    assert differences(one, two) == ["b: 2.0 and 2.1", "c: 3.0 and None", "d: None and 4.0"]


def test_spread_events_are_hours_apart() -> None:
    values = [msgspec.json.decode(value) for _, value in SOURCES["spread"](3, 3 * 3_600_000)]

    assert [value["time"][:19] for value in values] == [
        "1970-01-01T00:00:00",
        "1970-01-01T01:00:00",
        "1970-01-01T02:00:00",
    ]
