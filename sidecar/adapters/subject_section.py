"""The part of the status page about one feature or answer: reference beside window."""

from sidecar.adapters.charts import bars
from sidecar.adapters.markup import Html, element
from sidecar.adapters.phrases import count, share
from sidecar.adapters.tables import body_rows, head_row, numeric
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot


def chosen_subject(window: WindowSnapshot | None, name: str | None) -> SubjectDrift | None:
    """Give the feature or answer of that name; else the feature that changed most."""
    subjects = window.subjects if window else ()
    named = (each for each in subjects if each.name == name)
    worst = max(subjects, key=lambda s: (s.subject == "feature", s.severity), default=None)
    return next(named, worst)


def subject_section(window: WindowSnapshot, drift: SubjectDrift) -> Html:
    """Give the section on one feature or answer."""
    top = max([*drift.reference, *drift.current, 1e-9])
    rows = [
        element(
            "tr",
            element("th", name, scope="row"),
            element("td", bars((was, now), ("ref", "cur"), top), class_="wide"),
            numeric(share(was), "Reference"),
            numeric(share(now), "Window"),
        )
        for name, was, now in zip(drift.bins, drift.reference, drift.current, strict=True)
    ]
    head = head_row(("Bin", ""), ("", "wide"), ("Reference", "num"), ("Window", "num"))
    facts = (
        f"{count(drift.records)} records. Missing {share(drift.missing_ratio)} "
        f"(reference {share(drift.reference_missing_ratio)}), "
        f"unseen {share(drift.unseen_ratio)}, out of range {share(drift.out_of_range_ratio)}. "
        "The upper bar is the reference, the lower one the window."
    )
    return element(
        "section",
        element("h2", f"{drift.name}: reference and {window.window}"),
        element("p", facts, class_="note"),
        element("div", element("table", head, body_rows(rows), class_="bins"), class_="scroll"),
    )
