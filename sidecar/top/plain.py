"""All that is known at one moment as plain text, for a file, a pipe or a ticket."""

from collections.abc import Sequence

from sidecar.top.details import details
from sidecar.top.fleet import fleet, totals
from sidecar.top.layout import fact_lines, fitting, lines, printable
from sidecar.top.reading import title_of
from sidecar.top.watch import Sighting


def plain(sightings: Sequence[Sighting], now_s: float) -> str:
    """Give the table with all columns, the totals of several, and what each of them says."""
    said = lines(fleet(sightings, now_s))
    if len(sightings) > 1:
        said += ["", fitting(totals(sightings))]
    for sighting in sightings:
        facts = fact_lines(details(sighting, now_s))
        said += ["", printable(title_of(sighting)), *(f"  {line}" for line in facts)]
    return "\n".join(said)
