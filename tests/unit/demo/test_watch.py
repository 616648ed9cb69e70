"""The first reading that shows an incident."""

from sidecar.demo.incidents import AGE_IN_MONTHS, EDUCATION_MISSING, MODEL_FAILS
from sidecar.demo.watch import Sighting, Watch
from tests.unit.demo.readings import COUNTS, reading, subject

DAY_MS = 86_400_000


def test_a_surge_of_missing_values_is_seen_once_its_psi_is_past_the_critical_value() -> None:
    watch, begins = Watch(0.5), EDUCATION_MISSING.begins_ms
    some = subject("SCHL", 0.09, missing_ratio=0.05, reference_missing_ratio=0.0)
    many = subject("SCHL", 0.4, missing_ratio=0.12, reference_missing_ratio=0.0)

    news = [
        watch.see(reading(begins + DAY_MS, some)),
        watch.see(reading(begins + 2 * DAY_MS, many)),
        watch.see(reading(begins + 3 * DAY_MS, many)),
    ]

    assert news == [[], [EDUCATION_MISSING], []]
    assert watch.sightings[EDUCATION_MISSING] == Sighting(
        event_time_ms=begins + 2 * DAY_MS,
        measure="psi of SCHL over 7d, 18,250 records",
        value=0.4,
        limit=0.1,
        detail="missing in 12% of the window, in 0% of the reference",
    )


def test_drift_without_missing_values_is_no_surge() -> None:
    watch = Watch(0.5)

    watch.see(reading(EDUCATION_MISSING.begins_ms, subject("SCHL", 0.4, missing_ratio=0.01)))

    assert watch.sightings == {}


def test_a_changed_unit_is_seen_as_drift_of_its_feature_beyond_its_range() -> None:
    watch = Watch(0.5)
    aged = subject("AGEP", 0.2, out_of_range_ratio=0.01)

    watch.see(reading(AGE_IN_MONTHS.begins_ms, aged))

    watch.see(reading(AGE_IN_MONTHS.begins_ms, subject("AGEP", 2.5, out_of_range_ratio=0.3)))

    assert watch.sightings == {
        AGE_IN_MONTHS: Sighting(
            event_time_ms=AGE_IN_MONTHS.begins_ms,
            measure="psi of AGEP over 7d, 18,250 records",
            value=2.5,
            limit=0.1,
            detail="30% of the window is out of range",
        )
    }


def test_a_failing_model_is_seen_when_the_circuit_opens() -> None:
    watch, begins = Watch(0.5), MODEL_FAILS.begins_ms
    failing = COUNTS._replace(model_calls={"answered": 41, "error": 9})

    watch.see(reading(begins - 1))
    watch.see(reading(begins + 1, counts=failing))
    watch.see(reading(begins + 2, circuit_open=True, counts=failing))

    assert watch.sightings == {
        MODEL_FAILS: Sighting(
            event_time_ms=begins + 2,
            measure="share of model calls that failed",
            value=0.9,
            limit=0.5,
            detail="9 of 10 calls since it began; the circuit is open",
        )
    }


def test_nothing_is_seen_before_it_begins() -> None:
    watch = Watch(0.5)

    watch.see(reading(EDUCATION_MISSING.begins_ms - 1, subject("SCHL", 3.0), circuit_open=True))

    assert watch.sightings == {}


def test_verdicts_of_the_calm_are_counted_with_those_past_their_limit() -> None:
    watch = Watch(0.5)
    subjects = subject("SCHL"), subject("AGEP", 0.2), subject("SEX")

    watch.see(reading(EDUCATION_MISSING.begins_ms - 1, *subjects))
    watch.see(reading(EDUCATION_MISSING.begins_ms, *subjects))

    assert (watch.verdicts, +watch.alarms) == (3, {"AGEP": 1})


def test_a_sidecar_that_has_seen_no_event_shows_nothing() -> None:
    watch = Watch(0.5)

    assert watch.see(reading(None)) == []
    assert watch.verdicts == 0
