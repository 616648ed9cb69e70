import pytest

from tests.repo.test_alerts import ALERTS
from tools.dashboards.limits import Limit, flag, in_time, limit


def test_a_limit_is_the_number_of_the_alert_in_the_colour_of_its_severity() -> None:
    wait = limit("SidecarLagGrows", "(sidecar_consumer_lag_records)")

    assert wait == Limit(1000, "orange")
    assert (
        "sum by (job) (sidecar_consumer_lag_records) > 1000"
        in ALERTS["SidecarLagGrows"]["expr"]
    )


def test_a_limit_may_be_how_fast_a_budget_burns_or_what_share_that_is() -> None:
    hour = 'slo:sli_error:ratio_rate1h{sloth_id="sidecar-accepted"}'

    assert limit("SidecarRejectedBudgetBurns", hour) == Limit(14.4, "red")
    share = limit("SidecarRejectedBudgetBurns", hour, product=True)
    assert share.value == pytest.approx(0.0144)


def test_what_an_alert_does_not_compare_has_no_limit() -> None:
    with pytest.raises(ValueError, match="does not compare `sidecar_ready`"):
        limit("SidecarLagGrows", "sidecar_ready")


def test_a_flag_and_the_promised_age_have_theirs() -> None:
    assert flag("SidecarDrift") == Limit(1, "orange")
    assert in_time() == Limit(5, "red")
