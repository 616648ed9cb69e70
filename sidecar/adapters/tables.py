"""The parts that all tables of the status page share."""

from collections.abc import Iterable

from sidecar.adapters.markup import Child, Html, element


def head_row(*columns: tuple[str, str]) -> Html:
    """Give a table's head.

    Args:
        columns: Title and CSS class of each; a column without a title heads nothing.
    """
    cells = [
        element("th", title, scope="col", class_=kind or None)
        if title
        else element("td", class_=kind or None)
        for title, kind in columns
    ]
    return element("thead", element("tr", *cells))


def body_rows(rows: Iterable[Html]) -> Html:
    """Give a group of rows."""
    return element("tbody", *rows)


def numeric(text: Child, label: str | None = None) -> Html:
    """Give a cell with a number, and the title that stands before it on a narrow screen."""
    return element("td", text, class_="num", data_label=label)
