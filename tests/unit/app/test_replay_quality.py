from msgspec.structs import replace

from sidecar.app.replay_quality import aligned, describe_quality
from sidecar.monitors.quality_snapshot import QualitySnapshot
from tests.telemetry_samples import quality


def test_the_worst_shares_come_first_and_what_is_at_fault_follows() -> None:
    assert describe_quality(quality()).splitlines() == [
        "Quality, in the same windows: 1 outside their band",
        "  share           window  records   ratio  usual  lower  upper",
        "  missing amount      5m   18,000  20.00%  1.00%  0.00%  1.30%",
        "  refused because of amount in 1h: wrong_type 1,500",
        "  events were 0.2 s old in the median when written, 1 in 100 more than 12.0 s",
        "  the model agrees with upstream: 75.0% in all (40)",
        "  unseen in country: about 12 values in 432 events; 'XX' 400",
    ]


def test_windows_within_their_bands_say_so() -> None:
    calm = replace(quality().windows[1], ready=True, faults={}, freshness=None, agreement=())

    said = describe_quality(QualitySnapshot(windows=(calm,), unseen=()))

    assert said == "Quality, in the same windows: every share is in its band"


def test_few_records_give_no_verdict() -> None:
    few = replace(
        quality().windows[1], ready=False, ratios=(), faults={}, freshness=None, agreement=()
    )

    said = describe_quality(QualitySnapshot(windows=(few,), unseen=()))

    assert said == "Quality, in the same windows: no verdict, the records are too few"


def test_nothing_is_said_without_records() -> None:
    empty = replace(quality().windows[0], records=0)

    assert describe_quality(QualitySnapshot(windows=(empty,), unseen=())) == ""


def test_many_shares_are_cut() -> None:
    window = quality().windows[0]
    many = tuple(replace(window.ratios[0], feature=f"f{at}") for at in range(30))

    said = describe_quality(QualitySnapshot(windows=(replace(window, ratios=many),), unseen=()))

    assert "30 outside their band" in said
    assert "  and 10 more" in said
    assert said.count("missing f") == 20


def test_a_table_without_rows_has_no_head() -> None:
    assert aligned(("a", "b"), []) == []
    assert aligned(("a", "b"), [("long", "1")]) == ["a     b", "long  1"]
