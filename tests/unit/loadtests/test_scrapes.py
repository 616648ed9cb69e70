from loadtests.scrapes import Scrape, parsed

TEXT = """\
# TYPE sidecar_event_loop_lag_seconds gauge
sidecar_event_loop_lag_seconds 0.012
# TYPE sidecar_decisions counter
sidecar_decisions_total{source="model",reason="confident"} 60.0
sidecar_decisions_total{source="rule",reason="low_confidence"} 20.0
sidecar_decisions_total{source="upstream",reason="upstream"} 0.0
# TYPE sidecar_records_rejected counter
sidecar_records_rejected_total{stage="decode",reason="malformed_json"} 20.0
# TYPE sidecar_stage_duration_seconds histogram
sidecar_stage_duration_seconds_bucket{stage="score",le="+Inf"} 3.0
sidecar_stage_duration_seconds_count{stage="score"} 3.0
sidecar_stage_duration_seconds_sum{stage="score"} 1.5
"""


def test_a_scrape_is_what_the_text_says() -> None:
    assert parsed(TEXT, 0.003) == Scrape(
        took_s=0.003,
        loop_lag_s=0.012,
        stages_s={"score": 1.5},
        answers={
            "model confident": 0.6,
            "rule low_confidence": 0.2,
            "decode malformed_json": 0.2,
        },
    )


def test_nothing_decided_has_no_shares() -> None:
    assert parsed("", 0.0) == Scrape()
