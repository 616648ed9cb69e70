"""What is on the screen: which view of which sidecar, laid out for a width.

Knows no terminal library, so that whatever is shown can be tested as text.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from sidecar.top.details import details, why
from sidecar.top.fleet import ORDERS, fleet, mood_of, totals
from sidecar.top.layout import Mood, Table, cut, fact_lines, fitting, lines, printable
from sidecar.top.reading import age_of, state_of, title_of
from sidecar.top.views import (
    DRIFT_ORDERS,
    LETTER_ORDERS,
    PARTITION_ORDERS,
    dead_letters,
    drift,
    largest_changes,
    next_window,
    partitions,
)
from sidecar.top.watch import Sighting


class View(Enum):
    """The views, in the order of their number keys."""

    FLEET = "sidecars"
    ONE = "overview"
    DRIFT = "drift"
    PARTITIONS = "partitions"
    LETTERS = "dead letters"


_ORDERS = {
    View.FLEET: tuple(order.title for order in ORDERS),
    View.ONE: (),
    View.DRIFT: DRIFT_ORDERS,
    View.PARTITIONS: PARTITION_ORDERS,
    View.LETTERS: LETTER_ORDERS,
}
_MOST_REASONS = 3


class Choice(Struct, frozen=True):
    """What somebody chose to see."""

    view: View = View.FLEET
    url: str | None = None
    """The sidecar, by its target; the first where there is none of it."""
    orders: dict[View, str] = {}
    """The sort order of each view; the first where there is none."""
    window: str | None = None
    """The window of the drift view; the shortest that is ready where there is none of it."""
    row: str | None = None
    """The key of the row under the cursor, in the views of one sidecar."""

    @property
    def order(self) -> str:
        """Give the sort order of the view; empty where there is nothing to sort."""
        known = _ORDERS[self.view]
        return self.orders.get(self.view, known[0]) if known else ""

    def sees(self, view: View) -> "Choice":
        """Choose another view."""
        return replace(self, view=view, row=None)

    def turns(self, step: int) -> "Choice":
        """Choose the view so many further on; the first comes after the last."""
        views = list(View)
        return self.sees(views[(views.index(self.view) + step) % len(views)])

    def sorts(self) -> "Choice":
        """Choose the next sort order of the view."""
        known = _ORDERS[self.view]
        if not known:
            return self
        following = known[(known.index(self.order) + 1) % len(known)]
        return replace(self, orders={**self.orders, self.view: following})

    def points(self, key: str) -> "Choice":
        """Put the cursor on a row; in the view of all sidecars, that chooses one."""
        return replace(self, url=key) if self.view is View.FLEET else replace(self, row=key)

    def moves(self, sightings: Sequence[Sighting], step: int) -> "Choice":
        """Choose the sidecar so many further on, in the order of the view of all."""
        urls = [row.key for row in self.table(sightings, 0.0).rows]
        at = urls.index(self.sighting(sightings).target.url)
        return replace(self, url=urls[(at + step) % len(urls)], row=None)

    def next_window(self, sightings: Sequence[Sighting]) -> "Choice":
        """Choose the next window of the drift view."""
        view = self.sighting(sightings).view
        return self if view is None else replace(self, window=next_window(view, self.window))

    def sighting(self, sightings: Sequence[Sighting]) -> Sighting:
        """Give what is known of the chosen sidecar."""
        return next((each for each in sightings if each.target.url == self.url), sightings[0])

    def table(self, sightings: Sequence[Sighting], now_s: float) -> Table:
        """Give all sidecars in the chosen order."""
        title = self.orders.get(View.FLEET, ORDERS[0].title)
        order = next(order for order in ORDERS if order.title == title)
        return fleet(sightings, now_s, order)


class Line(NamedTuple):
    """A line of the screen."""

    text: str
    mood: Mood = "plain"
    key: str = ""
    """What the cursor is on when it is here."""


class Sheet(NamedTuple):
    """The parts of the screen, from top to bottom; no line is wider than was asked for."""

    head: tuple[Line, ...]
    titles: str
    """Of the columns of `rows`."""
    rows: tuple[Line, ...]
    """What the cursor moves in."""
    foot: tuple[Line, ...]
    """More about the row under the cursor."""


def sheet(choice: Choice, sightings: Sequence[Sighting], now_s: float, width: int) -> Sheet:
    """Lay out what was chosen.

    Args:
        choice: The view, and of which sidecar.
        sightings: What is known; of at least one.
        now_s: The moment by the monotonic clock, for ages.
        width: Cells in a line.
    """
    shown = choice.sighting(sightings)
    if choice.view is View.FLEET:
        said = fact_lines(details(shown, now_s), width)
        table = choice.table(sightings, now_s)
        foot = (Line(cut(printable(title_of(shown)), width), mood_of(shown)), *map(Line, said))
        summary = [Line(fitting(totals(sightings), width))] if len(sightings) > 1 else []
        return _laid(tuple(summary), table, foot, width)
    head = (_title(shown, now_s, width), *_reasons(choice, shown, now_s, width))
    if choice.view is View.ONE:
        said = fact_lines(details(shown, now_s), width)
        return Sheet(
            head, "", tuple(Line(text, key=str(at)) for at, text in enumerate(said)), ()
        )
    if shown.view is None:
        return Sheet(head, "", (), ())
    if choice.view is View.DRIFT:
        table = drift(shown.view, choice.window, choice.order)
        keys = [row.key for row in table.rows]
        row = choice.row if choice.row in keys else next(iter(keys), None)
        changes = largest_changes(shown.view, choice.window, row)
        return _laid(head, table, tuple(map(Line, fact_lines(changes, width))), width)
    if choice.view is View.PARTITIONS:
        return _laid(head, partitions(shown.view, choice.order), (), width)
    return _laid(head, dead_letters(shown.view, choice.order), (), width)


def _laid(head: tuple[Line, ...], table: Table, foot: tuple[Line, ...], width: int) -> Sheet:
    titles, *texts = lines(table, width)
    rows = (Line(text, row.mood, row.key) for text, row in zip(texts, table.rows, strict=True))
    note = (Line(cut(printable(table.note), width)),) if table.note else ()
    return Sheet((*head, *note), titles, tuple(rows), foot)


def _title(sighting: Sighting, now_s: float, width: int) -> Line:
    age = "" if sighting.view is None else f"   status {age_of(sighting, now_s)} old"
    text = f"{state_of(sighting)}   {title_of(sighting)}{age}"
    return Line(cut(printable(text), width), mood_of(sighting))


def _reasons(choice: Choice, sighting: Sighting, now_s: float, width: int) -> list[Line]:
    """Say why above every view; the overview has it among its lines."""
    if choice.view is View.ONE:
        return []
    said = why(sighting, now_s)[:_MOST_REASONS]
    texts = (f"{heading} {text}" for heading, text in said)
    return [Line(cut(printable(text), width), mood_of(sighting)) for text in texts]
