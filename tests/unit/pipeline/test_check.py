"""Unit: pipeline.check."""

from typing import Any

import pytest

from sidecar.bundle.manifest import (
    CategoryProfile,
    Feature,
    FeatureType,
    NumericProfile,
    ReferenceProfile,
)
from sidecar.config.settings import InputSettings
from sidecar.events import Decoded, EventBatch, Reason
from sidecar.pipeline.check import Checker
from tests.event_samples import (
    AMOUNT,
    COUNTRY,
    VERIFIED,
    decoder,
    encoded,
    event,
    events,
    features,
    manifest,
    records,
)

GRADE = Feature(name="grade", type=FeatureType.INTEGER, categories=(1, 2), required=False)
FREE = Feature(name="free", type=FeatureType.FLOAT, required=False)
SIGNATURE = manifest(AMOUNT, VERIFIED, COUNTRY, GRADE, FREE)


def numbers(low: float, high: float) -> NumericProfile:
    return NumericProfile(
        centre=low,
        edges=(),
        minimum=low,
        maximum=high,
        counts=(0, 1, 0, 0),
        mean=low,
        sd=1.0,
        low=low,
        high=high,
    )


def values(*categories: str | int | bool) -> CategoryProfile:
    return CategoryProfile(categories=categories, counts=(1,) * (len(categories) + 2))


REFERENCE = ReferenceProfile(
    records=1,
    features={
        "amount": numbers(0, 100),
        "verified": values(True),
        "country": values("DE", "FR"),
        "grade": values(1, 2),
    },
    score=numbers(0, 1),
    confidence={},
    label=None,
)


def checked(*of: dict[str, Any], **settings: Any) -> tuple[EventBatch, list[Reason]]:
    decoded = decoder(
        *SIGNATURE.features, on_missing=settings.get("on_missing", "reject")
    ).decode(records(*map(encoded, of)))
    checker = Checker(SIGNATURE, REFERENCE, InputSettings(**settings))
    batch = checker.check(decoded).events
    return batch, [Reason(code) for code in checker.gate(batch).tolist()]


def having(**named: Any) -> dict[str, Any]:
    return event(features={"amount": 1.0, "country": "DE", **named})


@pytest.mark.parametrize(
    ("on_missing", "reason"),
    [("flag", Reason.CONFIDENT), ("fallback", Reason.MISSING_FEATURE)],
)
def test_an_event_without_a_required_feature_is_marked(on_missing: str, reason: Reason) -> None:
    whole, without_amount, without_optional = (
        having(verified=True),
        having(amount=None),
        having(),
    )

    batch, reasons = checked(whole, without_amount, without_optional, on_missing=on_missing)

    assert batch.missing.tolist() == [False, True, False]
    assert reasons == [Reason.CONFIDENT, reason, Reason.CONFIDENT]


@pytest.mark.parametrize(
    ("named", "far"),
    [
        ({}, False),
        ({"amount": 0.0}, False),
        ({"amount": 100.0}, False),
        ({"amount": -0.1}, True),
        ({"amount": 100.1}, True),
        ({"country": "FR"}, False),
        ({"country": "XX"}, True),
        ({"verified": True}, False),
        ({"verified": False}, True),
        ({"grade": 2}, False),
        ({"grade": 3}, True),
        ({"grade": None}, False),
        ({"free": 1e30}, False),
    ],
    ids=str,
)
def test_what_the_reference_never_had_is_out_of_range(named: dict[str, Any], far: bool) -> None:
    batch, reasons = checked(having(**named), on_out_of_range="fallback")

    assert batch.out_of_range.tolist() == [far]
    assert reasons == [Reason.OUT_OF_DISTRIBUTION if far else Reason.CONFIDENT]


def test_a_missing_required_value_is_missing_and_not_out_of_range() -> None:
    batch, _ = checked(having(amount=None), on_missing="flag", on_out_of_range="fallback")

    assert (batch.missing.tolist(), batch.out_of_range.tolist()) == ([True], [False])


def test_missing_is_the_reason_where_both_faults_are() -> None:
    both = having(amount=None, country="XX")

    _, reasons = checked(both, on_missing="fallback", on_out_of_range="fallback")

    assert reasons == [Reason.MISSING_FEATURE]


def test_a_prediction_that_came_along_goes_before_every_fault() -> None:
    predicted = having(amount=999.0) | {"prediction": {"label": "approve"}}

    _, reasons = checked(predicted, having(amount=999.0), on_out_of_range="fallback")

    assert reasons == [Reason.UPSTREAM, Reason.OUT_OF_DISTRIBUTION]


def test_nothing_is_computed_that_no_setting_asks_for() -> None:
    decoded = Decoded(events(features(amount=1e30)), [], 0)

    checked_ = Checker(manifest(), REFERENCE, InputSettings()).check(decoded)

    assert checked_ is decoded


def test_a_text_without_known_categories_is_never_out_of_range() -> None:
    free_text = Feature(name="country", type=FeatureType.STRING)
    decoded = decoder(free_text).decode(records(encoded(having(country="XX"))))
    checker = Checker(manifest(free_text), REFERENCE, InputSettings(on_out_of_range="fallback"))

    assert checker.check(decoded).events.out_of_range.tolist() == [False]
