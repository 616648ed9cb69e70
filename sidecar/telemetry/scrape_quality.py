"""Series of the quality monitor, read at each scrape."""

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric

from sidecar.events import REASON_NAMES, SOURCE_NAMES, RejectCode
from sidecar.monitors.quality_snapshot import QualityRatio, QualitySnapshot, QualityWindow
from sidecar.telemetry import catalogue
from sidecar.telemetry.labels import DECISION_PAIRS
from sidecar.telemetry.series import Labels, family

Rows = list[tuple[Labels, float]]


def quality_families(snapshot: QualitySnapshot, max_features: int) -> Iterator[Metric]:
    """Give the series of all windows.

    Args:
        snapshot: What the quality monitor says.
        max_features: Most features that get series of their own, the first ones of the
            model's signature.
    """
    windows = snapshot.windows
    names = dict.fromkeys(r.feature for w in windows for r in w.ratios if r.feature)
    exported = {"", *list(names)[:max_features]}
    ratios = [(w.window, r) for w in windows for r in w.ratios if r.feature in exported]
    yield from _band_families(ratios)
    yield family(catalogue.QUALITY_RECORDS, [((w.window,), w.records) for w in windows])
    yield from _stream_families(windows)
    yield from _answer_families(windows)
    distinct: Rows = [
        ((unseen.feature,), unseen.distinct)
        for unseen in snapshot.unseen
        if unseen.feature in exported
    ]
    yield family(catalogue.UNSEEN_VALUES, distinct)


def _band_families(ratios: Sequence[tuple[str, QualityRatio]]) -> Iterator[Metric]:
    shares: Rows = []
    expected: dict[Labels, float] = {}
    lower: Rows = []
    upper: Rows = []
    breached: Rows = []
    for window, ratio in ratios:
        labels = (ratio.check, ratio.feature, window)
        if ratio.records:  # without any there is no share; 0 would say that all is well
            shares.append((labels, ratio.ratio))
        if ratio.expected is None:
            continue
        expected[labels[:2]] = ratio.expected
        breached.append((labels, ratio.breached))
        if ratio.upper is not None:
            upper.append((labels, ratio.upper))
        if ratio.lower is not None and ratio.expected:
            lower.append((labels, ratio.lower))
    yield family(catalogue.QUALITY_RATIO, shares)
    yield family(catalogue.QUALITY_EXPECTED, expected.items())
    yield family(catalogue.QUALITY_LOWER, lower)
    yield family(catalogue.QUALITY_UPPER, upper)
    yield family(catalogue.QUALITY_BREACHED, breached)


def _stream_families(windows: Sequence[QualityWindow]) -> Iterator[Metric]:
    rejected: Rows = [
        ((code.value, window.window), window.rejections.get(code.value, 0) / window.records)
        for window in windows
        if window.records
        for code in RejectCode
    ]
    yield family(catalogue.REJECTED_RATIO, rejected)
    fresh = [(w.window, w.freshness) for w in windows if w.freshness is not None]
    ages: Rows = [
        ((percentile, window), seconds)
        for window, ages in fresh
        for percentile, seconds in (("50", ages.median_seconds), ("99", ages.p99_seconds))
    ]
    yield family(catalogue.FRESHNESS, ages)


def _answer_families(windows: Sequence[QualityWindow]) -> Iterator[Metric]:
    decided = [window for window in windows if window.decisions]
    shares: Rows = []
    for window in decided:
        found = {(share.source, share.reason): share.ratio for share in window.decisions}
        for source, reason in DECISION_PAIRS:
            pair = SOURCE_NAMES[source], REASON_NAMES[reason]
            shares.append(((*pair, window.window), found.get(pair, 0.0)))
    yield family(catalogue.DECISION_RATIO, shares)
    rules: Rows = [((r.rule, w.window), r.ratio) for w in decided for r in w.rules]
    yield family(catalogue.RULE_RATIO, rules)
    agreement = [(window.window, row) for window in windows for row in window.agreement]
    ratios: Rows = [
        ((row.label, window), row.ratio) for window, row in agreement if row.ratio is not None
    ]
    yield family(catalogue.AGREEMENT_RATIO, ratios)
    compared: Rows = [((row.label, window), row.compared) for window, row in agreement]
    yield family(catalogue.COMPARED_RECORDS, compared)
