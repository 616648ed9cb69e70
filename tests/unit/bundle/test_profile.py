import msgspec
import numpy as np

from sidecar.bundle.manifest import (
    CategoryProfile,
    Feature,
    FeatureType,
    NumericProfile,
    ReferenceProfile,
    Task,
)
from sidecar.bundle.profile import build_profile, layout
from sidecar.events import Features
from sidecar.stats.cells import CategoryCells, NumericCells

FEATURES = (
    Feature(name="age", type=FeatureType.INTEGER),
    Feature(name="sex", type=FeatureType.STRING, categories=("f", "m")),
    Feature(name="region", type=FeatureType.INTEGER, categories=(7, 300)),
    Feature(name="member", type=FeatureType.BOOLEAN, categories=(False, True)),
)
COLUMNS = Features(
    np.array(
        [
            [20.0, 0.0, 7.0, 1.0],
            [30.0, 1.0, 300.0, 0.0],
            [40.0, 1.0, 300.0, 1.0],
            [np.nan, np.nan, 7.0, np.nan],
        ]
    ),
    {"sex": ["f", "m", "m", None]},
)


def classifier_profile() -> ReferenceProfile:
    return build_profile(
        FEATURES,
        COLUMNS,
        score=np.array([0.1, 0.6, 0.995, 0.2]),
        confidence={"max_probability": np.array([0.9, 0.6, 0.995, 0.8])},
        label=np.array([0, 1, 1, -1], np.int32),
        labels=("no", "yes"),
        task=Task.BINARY,
    )


def test_features_are_counted_by_size_or_by_category() -> None:
    assert classifier_profile().features == {
        "age": NumericProfile(
            centre=30.0,
            edges=(30.0, 40.0),
            minimum=20.0,
            maximum=40.0,
            counts=(0, 1, 1, 1, 0, 1),
            mean=30.0,
            sd=float(np.std([20.0, 30.0, 40.0])),
            low=20.0,
            high=40.0,
        ),
        "sex": CategoryProfile(categories=("f", "m"), counts=(1, 2, 0, 1)),
        "region": CategoryProfile(categories=(7, 300), counts=(2, 2, 0, 0)),
        "member": CategoryProfile(categories=(False, True), counts=(1, 2, 0, 1)),
    }


def test_answers_of_a_classifier_are_probabilities_and_labels() -> None:
    profile = classifier_profile()

    assert profile.records == 4
    assert isinstance(profile.score, NumericProfile)
    confidence = profile.confidence["max_probability"]
    assert isinstance(confidence, NumericProfile)
    assert (profile.score.minimum, profile.score.maximum, len(profile.score.edges)) == (
        0,
        1,
        99,
    )
    assert np.flatnonzero(profile.score.counts).tolist() == [11, 21, 61, 100]
    assert np.flatnonzero(confidence.counts).tolist() == [61, 81, 91, 100]
    assert profile.label == CategoryProfile(categories=("no", "yes"), counts=(1, 2, 0, 1))


def test_a_regression_has_a_score_by_quantiles_and_no_more() -> None:
    profile = build_profile(
        FEATURES, COLUMNS, np.array([1.5, 2.5, 3.5, np.nan]), {}, None, (), Task.REGRESSION
    )

    assert isinstance(profile.score, NumericProfile)
    assert (profile.score.edges, profile.score.counts) == ((2.5, 3.5), (0, 1, 1, 1, 0, 1))
    assert (profile.confidence, profile.label) == ({}, None)


def test_a_column_without_values_is_all_missing() -> None:
    feature = Feature(name="empty", type=FeatureType.FLOAT)
    nothing = np.full((3, 1), np.nan)

    profile = build_profile(
        (feature,), Features(nothing, {}), np.zeros(3), {}, None, (), Task.REGRESSION
    )

    assert profile.features["empty"] == NumericProfile(
        centre=0.0,
        edges=(),
        minimum=0.0,
        maximum=0.0,
        counts=(0, 0, 0, 3),
        mean=0.0,
        sd=0.0,
        low=0.0,
        high=0.0,
    )


def test_a_text_without_categories_is_all_unseen() -> None:
    feature = Feature(name="note", type=FeatureType.STRING)
    codes = np.array([[0.0], [np.nan]])

    profile = build_profile(
        (feature,), Features(codes, {}), np.zeros(2), {}, None, (), Task.REGRESSION
    )

    assert profile.features["note"] == CategoryProfile(categories=(), counts=(1, 1))


def test_layouts_survive_the_file() -> None:
    written = msgspec.json.encode(classifier_profile())

    read = msgspec.json.decode(written, type=ReferenceProfile)

    assert {name: layout(profile) for name, profile in read.features.items()} == {
        "age": NumericCells(30.0, (30.0, 40.0), 20.0, 40.0),
        "sex": CategoryCells(2),
        "region": CategoryCells(2, (7.0, 300.0)),
        "member": CategoryCells(2, (0.0, 1.0)),
    }
