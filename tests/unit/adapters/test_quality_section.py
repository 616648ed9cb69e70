from msgspec.structs import replace

from sidecar.adapters.quality_section import quality_parts
from sidecar.monitors.quality_snapshot import QualitySnapshot, QualityWindow, UnseenValue
from tests.telemetry_samples import quality, status
from tests.unit.adapters.test_status_page import Outline, page


def outline(snapshot: QualitySnapshot, window: str = "5m") -> Outline:
    parts = quality_parts(snapshot, window)
    assert parts is not None
    return Outline(parts)


def changed(**changes: object) -> QualitySnapshot:
    window: QualityWindow = replace(quality().windows[0], **changes)
    return QualitySnapshot(windows=(window,), unseen=())


def test_what_left_its_band_and_what_is_not_of_a_feature_is_shown() -> None:
    shown = outline(quality())

    assert "1 share is outside the band, over 20,000 records." in shown.text
    assert shown.rows[1:3] == [
        ["missing: amount", "▲ outside", "20.0 %", "1.0 %", "0 % to 1.3 %", "18,000"],
        ["fallback", "○ no band", "10.0 %", "–", "–", "18,000"],  # noqa: RUF001
    ]


def test_it_is_said_what_is_at_fault_how_old_events_are_and_how_often_two_agree() -> None:
    text = outline(quality()).text

    assert "Refused because of amount: wrong_type 1,500." in text
    assert "half of the events were at most 0.2 s old" in text
    assert "The model agrees with upstream: 75.0 % in all (40)." in text


def test_unseen_values_are_named_and_escaped() -> None:
    evil = replace(quality().unseen[0], top=(UnseenValue(value="<script>", records=400),))

    parts = str(quality_parts(replace(quality(), unseen=(evil,)), "5m"))

    assert "<script>" not in parts
    assert Outline(parts).rows[-1] == ["country", "about 12", "432", "'<script>' 400"]


def test_a_window_within_its_bands_and_one_with_too_few_records_say_so() -> None:
    steady, few = changed(ratios=()), changed(records=12, ready=False)

    assert "Every share is in its band, over 20,000 records." in outline(steady).text
    assert "Too few records for a verdict: 12." in outline(few).text


def test_the_status_page_has_it_for_the_window_that_is_shown() -> None:
    assert "Data quality" in page(status()).text
    assert "Data quality" not in page(replace(status(), quality=None)).text
    assert quality_parts(quality(), "24h") is None
