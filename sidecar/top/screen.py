"""The live view: a textual app that shows sheets and turns keys into choices.

The colours are the terminal's own, so that they suit its background; each colour repeats what
a word says.
"""

import asyncio
import signal
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sidecar.adapters.phrases import instant
from sidecar.clock import Clock
from sidecar.top.layout import Mood, cells_of, cut, fitting
from sidecar.top.sheet import Choice, Line, View, sheet
from sidecar.top.watch import Sighting, Watch

EXIT_INTERRUPTED = 130  # what a shell gives for a process that SIGINT ended
EXIT_TERMINATED = 143  # and for one that SIGTERM ended

_PAINT_S = 0.5  # ages count on between two answers
_STYLES: dict[Mood, str] = {"plain": "", "warn": "ansi_yellow", "bad": "bold ansi_red"}
_HELP = """\
1 to 5, Tab       the views; Shift-Tab goes back
Up, Down          move the cursor; also Page Up, Page Down, Home, End
Enter             open the sidecar under the cursor
Left, Right       the sidecar before, the next one
Esc               back to all sidecars
s                 sort by the next column
w                 the next window of the drift view
p                 let the picture stand still, and go on
?                 this help
q                 quit

lag         records in the topic that are not read yet
behind      age of the last record read while more are waiting
fallback    share of rule, cache and default in the last minute's decisions
dead/min    records refused in the last minute
drift       features past their critical value, of those with a verdict, in
            the shortest window that has one
episodes    drift that has begun and not ended, over any window
severity    the drift score (PSI) over its critical value: past 1 it drifts
away        it does not answer; the reason stands below or above the table

Any key closes this."""

_SCROLLING = ("up", "down", "pageup", "pagedown", "home", "end")


class Moment(NamedTuple):
    """What is known, and when that was."""

    sightings: list[Sighting]
    now_s: float
    now_ms: int


class Help(ModalScreen[None]):
    """What the keys do and the words mean."""

    def compose(self) -> ComposeResult:
        """Show the text; on a small screen it can be scrolled."""
        with VerticalScroll():
            yield Static(_HELP, markup=False)

    def on_key(self, event: Key) -> None:
        """Close it, unless it is scrolled."""
        # Two keys in a hurry both come here, and it can be closed but once.
        if event.key not in _SCROLLING and self.is_current:
            event.stop()
            self.dismiss()


class TopApp(App[int]):
    """All of it; gives the exit code."""

    CSS_PATH = "screen.tcss"
    TITLE = "sidecar top"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(at), f"view({at - 1})") for at in range(1, len(View) + 1)),
        Binding("tab", "turn(1)", priority=True),
        Binding("shift+tab", "turn(-1)", priority=True),
        Binding("left", "move(-1)", priority=True),
        Binding("right", "move(1)", priority=True),
        Binding("escape", "view(0)"),
        Binding("s", "sort"),
        Binding("w", "window"),
        Binding("p", "pause"),
        Binding("question_mark", "help"),
        Binding("q,ctrl+q", "leave(0)"),
        Binding("ctrl+c", f"leave({EXIT_INTERRUPTED})", priority=True),
    ]

    def __init__(self, watch: Watch, clock: Clock) -> None:
        """Prepare; nobody is asked before it runs.

        Args:
            watch: Whom to show; not started.
            clock: For ages.
        """
        super().__init__(ansi_color=True)
        self._watch = watch
        self._clock = clock
        first, *more = watch.sightings()
        self._several = bool(more)
        self._choice = Choice(View.FLEET if more else View.ONE, first.target.url)
        self._still: Moment | None = None
        self._painted: dict[str, Sequence[Line]] = {}

    def compose(self) -> ComposeResult:
        """Lay the screen out, from top to bottom."""
        for name in ("top", "views", "head", "titles"):
            yield Static(id=name, markup=False)
        yield OptionList(id="rows", markup=False, compact=True)
        for name in ("foot", "keys"):
            yield Static(id=name, markup=False)

    def on_mount(self) -> None:
        """Begin to ask, and to show what is known."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.exit, EXIT_TERMINATED)
        loop.add_signal_handler(signal.SIGINT, self.exit, EXIT_INTERRUPTED)
        self._watch.start()
        self.set_interval(_PAINT_S, self._paint)
        self.query_one("#rows").focus()
        self._paint()

    def on_unmount(self) -> None:
        """Ask no more."""
        self._watch.stop()

    def on_resize(self) -> None:
        """Lay out for the new width."""
        self._paint()

    # --- keys --------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to the help while it is open, but for those that end."""
        return action == "leave" or len(self.screen_stack) == 1

    def action_view(self, at: int) -> None:
        """Show a view."""
        self._choose(self._choice.sees(list(View)[at]))

    def action_turn(self, step: int) -> None:
        """Show the view so many further on."""
        self._choose(self._choice.turns(step))

    def action_move(self, step: int) -> None:
        """Show the sidecar so many further on."""
        self._choose(self._choice.moves(self._moment().sightings, step))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self._choose(self._choice.sorts())

    def action_window(self) -> None:
        """Show the next window."""
        self._choose(self._choice.next_window(self._moment().sightings))

    def action_pause(self) -> None:
        """Stand still, or go on."""
        self._still = None if self._still else self._moment()
        self._paint()

    def action_help(self) -> None:
        """Say what the keys do."""
        self.push_screen(Help())

    def action_leave(self, code: int) -> None:
        """End with an exit code."""
        self.exit(code)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Follow the cursor."""
        view, _, key = (event.option.id or "").partition(" ")
        if view == self._choice.view.name:
            self._choose(self._choice.points(key))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the sidecar under the cursor."""
        if self._choice.view is View.FLEET:
            self.action_view(1)

    def _choose(self, choice: Choice) -> None:
        if choice != self._choice:
            self._choice = choice
            self._paint()

    # --- what is shown -----------------------------------------------------------------------

    def _moment(self) -> Moment:
        if self._still is not None:
            return self._still
        clock = self._clock
        return Moment(self._watch.sightings(), clock.monotonic(), clock.now_ms())

    def _paint(self) -> None:
        if not self.is_running:
            return  # it ends, and its parts go one by one while the interval still ticks
        moment, width = self._moment(), self.size.width
        # The scroll bar takes a cell, and a row that is too wide would take two lines.
        shown = sheet(self._choice, moment.sightings, moment.now_s, max(1, width - 1))
        screen = self.screen_stack[0]
        with self.batch_update():
            screen.set_class(self._choice.view is View.FLEET, "fleet")
            self._show("top", [Line(self._top(moment, width))])
            self._show("views", [Line(self._views(width))])
            self._show("head", shown.head)
            self._show("titles", [Line(shown.titles)])
            self._show_rows(screen.query_one("#rows", OptionList), shown.rows)
            self._show("foot", shown.foot)
            self._show("keys", [Line(self._keys(width))])

    def _show(self, name: str, lines: Sequence[Line]) -> None:
        """Bring a part up to date; what is as it was is not sent again."""
        if self._painted.get(name) != lines:
            self._painted[name] = lines
            part = self.screen_stack[0].query_one(f"#{name}", Static)
            part.display = any(line.text for line in lines)
            part.update(Content("\n").join(map(_content, lines)))

    def _show_rows(self, rows: OptionList, lines: Sequence[Line]) -> None:
        """Bring the rows up to date where they are, so that cursor and scrolling stay."""
        view = self._choice.view
        ids = [f"{view.name} {line.key}" for line in lines]
        key = self._choice.url if view is View.FLEET else self._choice.row
        chosen = f"{view.name} {key}"
        cursor = ids.index(chosen) if chosen in ids else 0
        contents = [
            _under_cursor(line, self.size.width - 1) if at == cursor else _content(line)
            for at, line in enumerate(lines)
        ]
        if ids == [option.id for option in rows.options]:
            for at, content in enumerate(contents):
                painted = rows.options[at].prompt
                if not (isinstance(painted, Content) and content.is_same(painted)):
                    rows.replace_option_prompt_at_index(at, content)
        else:
            rows.set_options(map(Option, contents, ids))
        # Said by the choice itself; only a person's moves are to change it.
        with self.prevent(OptionList.OptionHighlighted):
            rows.highlighted = cursor if ids else None

    def _top(self, moment: Moment, width: int) -> str:
        when = instant(moment.now_ms)
        order = self._choice.order
        said = ["sidecar top", f"PAUSED at {when}" if self._still else when]
        return fitting([*said, f"order: {order}"] if order else said, width)

    def _views(self, width: int) -> str:
        """Name the views with their keys; the one that is shown stands in brackets."""
        wide, narrow = self._tabs(named=True), self._tabs(named=False)
        return cut(wide if cells_of(wide) <= width else narrow, width)

    def _tabs(self, *, named: bool) -> str:
        others = " {} {} " if named else " {} "
        tabs = (
            ("[{} {}]" if view is self._choice.view else others).format(at, view.value)
            for at, view in enumerate(View, 1)
        )
        return " ".join(tabs)

    def _keys(self, width: int) -> str:
        keys = ["q quit", "? help", "1-5 views", "p pause"]
        if self._choice.view is View.DRIFT:
            keys.append("w window")
        if self._choice.order:
            keys.append("s sort")
        if self._several and self._choice.view is View.FLEET:
            keys.append("Enter opens")
        elif self._several:
            keys += ["Esc all", "Left Right sidecar"]
        return fitting(keys, width)


def _content(line: Line) -> Content:
    return Content.styled(line.text, _STYLES[line.mood])


def _under_cursor(line: Line, width: int) -> Content:
    """Turn a row round, all of it; the style sheet can give a row colours alone."""
    text = line.text + " " * (width - cells_of(line.text))
    return Content.styled(text, f"reverse {_STYLES[line.mood]}")
