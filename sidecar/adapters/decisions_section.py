"""The part of the status page that shows the last decisions, and one event's way through."""

from collections.abc import Iterator

from sidecar.adapters.charts import bar
from sidecar.adapters.markup import Child, Html, element, join
from sidecar.adapters.phrases import count, digits, instant
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.telemetry.decisions import DecisionsView, DecisionView


def decisions_section(view: DecisionsView) -> Html:
    """Give the section; it says how to switch it on where it is off."""
    if not view.enabled:
        off = element("p", "Off. ", element("code", "http.decisions"), " keeps the last ones.")
        return element("section", element("h2", "Last decisions"), off)
    if not view.decisions:
        none = element("p", "Nothing is decided yet.", class_="none")
        return element("section", element("h2", "Last decisions"), none)
    note = (
        f"A sample of the last {view.kept} at most, newest first; keys and ids are hashes. "
        "Open one to see its way; while one is open, the list stands still."
    )
    return element(
        "section",
        element("h2", "Last decisions"),
        element("p", note, class_="note"),
        *(_one(each) for each in view.decisions),
        class_="decisions",
    )


def _one(view: DecisionView) -> Html:
    place = f"{view.topic} {view.partition}/{view.offset}"
    if view.outcome == "dead_letter":
        said: Html = join("■ dead letter: ", element("code", view.code))
    else:
        sign = "●" if view.source in ("model", "upstream") else "▲"
        why = f" ({view.rule})" if view.rule else ""
        said = join(f"{sign} {view.label or digits(view.score)} by {view.source}{why}")
    return element(
        "details",
        element("summary", element("code", place), " ", said),
        element("dl", *_steps(view), class_="steps"),
        _stages(view) if view.stages else None,
    )


def _steps(view: DecisionView) -> Iterator[Html]:
    yield _step(
        "Received",
        f"{view.topic}, partition {view.partition}, offset {view.offset}, "
        f"{instant(view.record_time_ms)}, in a batch of {count(view.batch_records)}"
        + (f", key {view.key_hash}" if view.key_hash else ""),
    )
    if view.outcome == "dead_letter":
        yield _step("Refused", f"by {view.rejected_by}: {view.code}. {view.message}")
        yield _step("Sent", f"as a dead letter, acknowledged {instant(view.settled_ms)}")
        return
    yield _step("Decoded", f"event {view.event_hash}, happened {instant(view.event_time_ms)}")
    yield _step("Checked", ", ".join(view.flags) or "no faults")
    if view.features:
        yield _step("Features", ", ".join(f"{k} = {v}" for k, v in view.features.items()))
    yield _step("Scored", _scored(view))
    rule = f", rule {view.rule}" if view.rule else ""
    label = view.label or "no label"
    yield _step("Decided", f"{label} by {view.source}, because {view.reason}{rule}")
    yield _step("Sent", f"acknowledged {instant(view.settled_ms)}")


def _scored(view: DecisionView) -> str:
    parts = [view.answer or "no label", f"score {digits(view.score)}"]
    if view.confidence is not None and view.threshold is not None:
        enough = "at least" if view.confidence >= view.threshold else "below"
        parts.append(f"confidence {digits(view.confidence)}, {enough} {digits(view.threshold)}")
    return ", ".join(parts)


def _step(name: str, text: Child) -> Html:
    return element("div", element("dt", name), element("dd", text))


def _stages(view: DecisionView) -> Html:
    whole = max(stage.began_ms + stage.took_ms for stage in view.stages) or 1.0
    rows = [
        element(
            "tr",
            element("th", stage.stage, scope="row"),
            element("td", bar(stage.took_ms / whole), class_="wide"),
            numeric(f"{stage.began_ms:.1f} ms", "Began after"),
            numeric(f"{stage.took_ms:.1f} ms", "Took"),
        )
        for stage in view.stages
    ]
    head = head_row(("Stage", ""), ("", "wide"), ("Began after", "num"), ("Took", "num"))
    table = element("table", element("caption", "Its batch"), head, body_rows(rows))
    return element("div", table, class_="scroll")
