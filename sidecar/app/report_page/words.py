"""The words, signs and classes by which the page tells one state from another."""

from sidecar.adapters.markup import Html, element
from sidecar.app.replay_report import ReplayReport
from sidecar.app.report_page.tracks import Track
from sidecar.config.values import Duration
from sidecar.monitors.snapshot import SubjectDrift

# A sign, a word and a colour for each: colour never says anything alone.
_SIGNS = {
    "critical": "▲",
    "warning": "△",
    "drifted before": "▽",
    "past chance": "◆",
    "steady": "●",
    "no verdict": "○",
}


def verdict(track: Track) -> Html:
    """Give what a subject does, with its sign."""
    word = track.verdict
    sign = element("span", _SIGNS[word], aria_hidden="true")
    return element("span", sign, f" {word}", class_=f"verdict {word.replace(' ', '-')}")


def kind(drift: SubjectDrift) -> str:
    """Say what a subject is where its name does not."""
    return "feature" if drift.subject == "feature" else "answer"


def certainty(report: ReplayReport) -> str:
    """Say how sure a verdict is, in one sentence."""
    judgement = report.judgement
    return (
        "A subject drifts when its records show a true population stability index (PSI) above "
        f"{judgement.delta:g} (critical) or {judgement.warning_delta:g} (warning), at most "
        f"{judgement.false_discovery_rate:.1%} of such findings false, for "
        f"{Duration(judgement.hold_ms)} of event time. p is the chance of so high an index "
        "while the true one is no higher than that."
    )
