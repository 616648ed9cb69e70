"""The whole page: one file, which its own policy forbids to load anything."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from sidecar import __version__
from sidecar.adapters.markup import Html, element
from sidecar.adapters.quality_section import quality_parts
from sidecar.app.replay_report import ReplayReport
from sidecar.app.report_page.flow import counts, sources
from sidecar.app.report_page.overview import states, table
from sidecar.app.report_page.subjects import subjects
from sidecar.app.report_page.summary import header, summary
from sidecar.app.report_page.tracks import WindowView, chosen, window_views
from sidecar.config.values import Duration

_STYLES = (("sidecar.adapters", "status.css"), ("sidecar.app.report_page", "report.css"))


def render(report: ReplayReport) -> str:
    """Give the page of a report.

    Args:
        report: What a replay found. All of its texts are escaped.
    """
    views = window_views(report)
    shown = chosen(views)
    style = Html("\n".join(_text(*name) for name in _STYLES))
    script = Html(_text("sidecar.app.report_page", "report.js"))
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.model.name} {report.model.version}: replay"),
        element("style", style),
    )
    body = element(
        "body",
        _patterns(),
        header(report),
        element(
            "main",
            summary(report, views, shown),
            _choice(views, shown),
            *(_window(view, report) for view in views),
            element("section", element("h2", "Counts"), counts(report)),
            _reading(report),
        ),
        element("footer", element("p", f"sidecar {__version__}, {_speed(report)}")),
        element("script", script),
    )
    return f"<!doctype html>{element('html', head, body, lang='en')}\n"


def _window(view: WindowView, report: ReplayReport) -> Html:
    name = view.now.window
    return element(
        "div",
        element("section", element("h2", f"Who drifted when, over {name}"), states(view)),
        element("section", element("h2", f"All subjects, over {name}"), table(view)),
        element(
            "section",
            element("h2", f"Data quality, over {name}"),
            quality_parts(report.quality, name),
        ),
        element("section", element("h2", f"Who decided, over {name}"), sources(view)),
        element(
            "section",
            element("h2", f"Each subject, over {name}"),
            subjects(view, report.judgement),
        ),
        class_=f"window {view.key}",
    )


def _choice(views: Sequence[WindowView], shown: WindowView | None) -> Html | None:
    """Let the reader choose a window, without a script."""
    if len(views) < 2:
        return None
    choices = [
        element(
            "label",
            element("input", type="radio", name="window", id=view.key, checked=view is shown),
            f" {view.now.window}",
        )
        for view in views
    ]
    return element(
        "fieldset", element("legend", "Window of event time"), *choices, class_="choice"
    )


def _reading(report: ReplayReport) -> Html:
    judgement = report.judgement
    terms = (
        ("PSI", "population stability index, in nats: 0 where the shares agree."),
        ("JS", "Jensen-Shannon distance, base 2: 0 to 1."),
        ("KS", "Kolmogorov-Smirnov distance: the largest gap of two distribution functions."),
        (
            "Critical value",
            "what a score passes by chance alone in "
            f"{judgement.false_discovery_rate:.2%} of windows with so many records.",
        ),
        (
            "Calibrated",
            "how far clean windows lie from the reference was measured on the reference "
            "itself, window by window; critical values allow for it.",
        ),
        (
            "Tolerance",
            f"the PSI that does not matter: {judgement.warning_delta:g} before a warning, "
            f"{judgement.delta:g} before drift is critical.",
        ),
        ("Past chance", "beyond the critical value: there is a difference, maybe a small one."),
        (
            "Drift",
            "the true PSI is above the tolerance, as far as the records can show it, for "
            f"{Duration(judgement.hold_ms)}. It ends when the excess over chance stays below "
            f"half the tolerance for {Duration(judgement.resolve_ms)}.",
        ),
        (
            "Band",
            "the shares that a window may show with nothing changed: around the usual share, "
            "wider with fewer records.",
        ),
        ("Window", "a span of event time that ends where the picture says."),
    )
    pairs = [element("div", element("dt", term), element("dd", text)) for term, text in terms]
    return element(
        "section", element("h2", "How to read it"), element("dl", *pairs, class_="terms")
    )


def _speed(report: ReplayReport) -> str:
    speed = report.speed
    return f"{speed.records_per_second:,.0f} records/s, {speed.seconds:,.1f} s"


def _patterns() -> Html:
    """Define the hatching of spans with too few records, which has no colour to rely on."""
    stroke = element("path", d="M-1 7L7-1M-1 1L1-1M5 7L7 5", class_="hatch")
    pattern = element(
        "pattern", stroke, id="few", width=6, height=6, patternUnits="userSpaceOnUse"
    )
    defs = element("defs", pattern)
    return element("svg", defs, width=0, height=0, class_="patterns", aria_hidden="true")


def _policy(style: str, script: str) -> str:
    """Forbid everything but this style and this script, by their digests."""
    return (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _text(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
