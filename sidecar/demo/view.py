"""How the demo looks: a live page on a terminal, a line every few seconds elsewhere."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol, Self

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sidecar.demo.incidents import INCIDENTS, Incident
from sidecar.demo.probe import Reading
from sidecar.demo.summary import day
from sidecar.demo.watch import Sighting, judged
from sidecar.monitors.snapshot import SubjectDrift, WindowSnapshot

LINE_EVERY_S = 5.0
_MOST_SUBJECTS = 6
_BAR_WIDTH = 72


class Moment(NamedTuple):
    """Where the demo stands when it shows a reading."""

    elapsed_s: float
    progress: float
    """Share of the stream that is sent."""
    event_time_ms: int
    """Event time of the last record sent."""
    reading: Reading
    sightings: Mapping[Incident, Sighting]

    @property
    def incident(self) -> Incident | None:
        """The incident that is going on in the stream."""
        return next((i for i in INCIDENTS if i.on(self.event_time_ms)), None)


class View(Protocol):
    """Something that shows moments."""

    def __enter__(self) -> Self:
        """Begin to show."""
        ...

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was."""
        ...

    def show(self, moment: Moment) -> None:
        """Show the present."""
        ...


class LineView:
    """Plain lines: the state every few seconds, each incident when it begins and is seen."""

    def __init__(self, console: Console) -> None:
        """Write to a console."""
        self._console = console
        self._next_s = 0.0
        self._said: set[str] = set()

    def __enter__(self) -> Self:
        """Give the view itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: each line is complete."""

    def show(self, moment: Moment) -> None:
        """Write what is new, and the state if it is time."""
        for text in news(moment):
            if text not in self._said:
                self._said.add(text)
                self._line(moment, text)
        if moment.elapsed_s >= self._next_s:
            self._next_s = moment.elapsed_s + LINE_EVERY_S
            self._line(moment, state(moment))

    def _line(self, moment: Moment, text: str) -> None:
        stamp = f"{moment.elapsed_s:5.1f}s {day(moment.event_time_ms)}  "
        say(self._console, stamp + text)


class LiveView:
    """A page that is drawn anew with each reading."""

    def __init__(self, console: Console, *, metrics_url: str, status_url: str) -> None:
        """Draw on a console.

        Args:
            console: A terminal.
            metrics_url: Shown at the top.
            status_url: Likewise.
        """
        self._links = Text.assemble(
            "metrics ", (metrics_url, "cyan"), "   status page ", (status_url, "cyan")
        )
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        """Take over the screen's lower part."""
        self._live.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Clear what was drawn."""
        self._live.__exit__(None, None, None)

    def show(self, moment: Moment) -> None:
        """Draw the page."""
        self._live.update(page(moment, self._links), refresh=True)


def news(moment: Moment) -> list[str]:
    """Say which incidents have begun and which were seen, in words that stay the same."""
    begun = [i for i in INCIDENTS if moment.event_time_ms >= i.begins_ms]
    lines = []
    for incident in begun:
        lines.append(f"INCIDENT: {incident.title}: {incident.what}")
        if sighting := moment.sightings.get(incident):
            lines.append(f"SEEN: {incident.title}: {sighted(sighting)}")
    return lines


def sighted(sighting: Sighting) -> str:
    """Say what was past which limit."""
    return f"{sighting.measure}: {sighting.value:.3g} > {sighting.limit:.3g}"


def state(moment: Moment) -> str:
    """Give one line on how it goes."""
    status, counts = moment.reading.status, moment.reading.counts
    sources = ", ".join(f"{source} {n:,}" for source, n in counts.decisions.items())
    drifting = ", ".join(
        subject.name for _, subject in worst(moment.reading) if subject.drifting
    )
    return (
        f"{status.rates.records_per_second:,.0f} records/s; {sources or 'no decisions'}; "
        f"dead letters {counts.rejected:,}; drifting: {drifting or 'nothing'}; "
        f"circuit {'open' if status.circuit_open else 'closed'}"
    )


def worst(reading: Reading) -> list[tuple[WindowSnapshot, SubjectDrift]]:
    """Give each subject in the window where it drifts most, the most drifting first."""
    by_severity = sorted(judged(reading), key=lambda pair: -pair[1].severity)
    first: dict[str, tuple[WindowSnapshot, SubjectDrift]] = {}
    for window, subject in by_severity:
        first.setdefault(subject.name, (window, subject))
    return list(first.values())


def say(console: Console, text: str) -> None:
    """Write plain text as it is: no markup, no colours, no line breaks of ours."""
    console.print(text, soft_wrap=True, markup=False, highlight=False)


# --- the page ------------------------------------------------------------------------------


def page(moment: Moment, links: Text) -> Group:
    """Lay out everything that the live view shows."""
    status, counts = moment.reading.status, moment.reading.counts
    circuit = ("open", "bold red") if status.circuit_open else ("closed", "green")
    figures = Text.assemble(
        (day(moment.event_time_ms), "bold"),
        f"   {status.rates.records_per_second:,.0f} records/s",
        f"   lag {status.lag_records or 0:,}   circuit ",
        circuit,
        f"   state {status.state}",
    )
    tables = [
        _counted("decisions by", counts.decisions),
        _counted("fallback rule", counts.rules),
        _counted("dead letter", counts.rejections),
    ]
    return Group(
        links,
        figures,
        _bar(moment.progress),
        _incidents(moment),
        Columns(tables, padding=(0, 3)),
        "",
        _drift(moment),
    )


def _bar(progress: float) -> Text:
    done = round(progress * _BAR_WIDTH)
    return Text.assemble(("━" * done, "cyan"), ("━" * (_BAR_WIDTH - done), "dim"))


def _counted(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title, "total", box=None, header_style="bold")
    table.columns[1].justify = "right"
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(name, f"{count:,}")
    return table


def _incidents(moment: Moment) -> Text:
    text = Text()
    for incident in INCIDENTS:
        if moment.event_time_ms < incident.begins_ms:
            continue
        style = "bold red" if incident is moment.incident else "dim"
        text.append(f"{day(incident.begins_ms)}  {incident.what}\n", style)
        if sighting := moment.sightings.get(incident):
            text.append(f"{day(sighting.event_time_ms)}  seen: {sighted(sighting)}\n", "green")
    return text if text else Text("no incident yet\n", "dim")


def _drift(moment: Moment) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("drift of")
    for name in ("window", "psi", "critical", "missing", "out of range"):
        table.add_column(name, justify="right")
    for window, subject in worst(moment.reading)[:_MOST_SUBJECTS]:
        psi = next(score for score in subject.scores if score.method == "psi")
        table.add_row(
            subject.name,
            window.window,
            f"{psi.value:.3f}",
            f"{psi.critical:.3f}",
            f"{subject.missing_ratio:.1%}",
            f"{subject.out_of_range_ratio:.1%}",
            style="red" if subject.drifting else None,
        )
    return table
