"""Dead letters as values: what each says, which ones are wanted, and which may go back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from sidecar.config.values import Duration
from sidecar.errors import Finding, UserError
from sidecar.events import Headers, OutboundBatch, OutboundSlice, RecordBatch
from sidecar.pipeline.encode import ERROR_PREFIX

_ATTEMPTS = f"{ERROR_PREFIX}attempts"
_STUB_VALUE = b"{}"
_UNKNOWN_TIME = -1


@dataclass(frozen=True, slots=True)
class Letter:
    """One record of the dead-letter topic."""

    partition: int
    offset: int
    time_ms: int
    """When it was refused, Unix milliseconds; -1 when unknown."""
    key: bytes | None
    value: bytes | None
    headers: Headers

    def said(self, name: str) -> str:
        """Give what a `sidecar.error.` header says; empty without it."""
        return (dict(self.headers).get(f"{ERROR_PREFIX}{name}") or b"").decode(errors="replace")

    def number(self, name: str) -> int | None:
        """Give what a header says as a number of zero or more; None when it is none."""
        text = self.said(name)
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    @property
    def place(self) -> str:
        """Where the letter is, as `show` and `--after` take it."""
        return f"{self.partition}:{self.offset}"

    @property
    def source(self) -> str:
        """Where the record was, as `topic-partition-offset`."""
        return f"{self.said('topic')}-{self.said('partition')}-{self.said('offset')}"

    @property
    def attempts(self) -> int:
        """How often the record has been refused."""
        return self.number("attempts") or 0

    @property
    def has_payload(self) -> bool:
        """Whether the record itself is here: not so of one that could not be read or kept.

        What is left of a letter that was refused itself has no attempts and an empty object
        for its value: see `Encoder.stubs`.
        """
        stub = not self.said("attempts") and self.value == _STUB_VALUE
        return self.value is not None and not stub

    def original_headers(self) -> list[tuple[str, bytes | None]]:
        """Give the headers without those that were added."""
        return [header for header in self.headers if not header[0].startswith(ERROR_PREFIX)]

    def facts(self) -> dict[str, object]:
        """Give what `list` shows, by name."""
        return {
            "letter": self.place,
            "code": self.said("code"),
            "stage": self.said("stage"),
            "path": self.said("path"),
            "source": self.source,
            "time": rfc3339(self.time_ms),
            "attempts": self.attempts,
        }


def letters_of(batch: RecordBatch) -> Iterator[Letter]:
    """Give the records of a batch as letters."""
    columns = zip(
        batch.partitions().tolist(),
        batch.offsets.tolist(),
        batch.timestamps_ms.tolist(),
        batch.keys,
        batch.values,
        batch.headers,
        strict=True,
    )
    # Letters are looked at one by one, by people and at their pace.
    for row in columns:
        yield Letter(*row)


# --- which are wanted ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters are looked at; what is left open excludes none."""

    codes: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    since_ms: int | None = None
    """Refused at this instant or later."""
    until_ms: int | None = None
    """Refused before this instant."""
    key: bytes | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is one of them."""
        return (
            (not self.codes or letter.said("code") in self.codes)
            and (not self.stages or letter.said("stage") in self.stages)
            and (self.since_ms is None or letter.time_ms >= self.since_ms)
            and (self.until_ms is None or letter.time_ms < self.until_ms)
            and (self.key is None or letter.key == self.key)
        )


def parse_instant(option: str, text: str, now_ms: int) -> int:
    """Read an instant: an RFC 3339 time, or how long ago.

    Args:
        option: What it is given for, for the error.
        text: `2026-03-01T09:30:00Z` or `2h`.
        now_ms: The present, Unix milliseconds.

    Raises:
        UserError: It is neither.

    Example:
        >>> parse_instant("--since", "2h", 10_000_000)
        2800000
    """
    try:
        return now_ms - Duration.parse(text).ms
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        mend = "write `2026-03-01T09:30:00Z`, or `2h` for two hours ago"
        raise UserError(option, [Finding(option, f"`{text}` is no time", mend)])
    return round(moment.timestamp() * 1000)


def parse_place(option: str, text: str) -> tuple[int, int]:
    """Read the place of a letter.

    Raises:
        UserError: It is not of the form `PARTITION:OFFSET`.

    Example:
        >>> parse_place("--after", "3:17")
        (3, 17)
    """
    parts = text.split(":")
    if len(parts) != 2 or not all(p.isascii() and p.isdigit() and len(p) < 20 for p in parts):
        mend = "write `3:17`, as `sidecar dlq list` shows it"
        raise UserError(option, [Finding(option, f"`{text}` is no place", mend)])
    return int(parts[0]), int(parts[1])


def parse_key(option: str, text: str) -> bytes:
    r"""Read a key: text, or `hex:` and its bytes.

    Raises:
        UserError: What follows `hex:` is not hexadecimal.

    Example:
        >>> parse_key("--key", "customer-7"), parse_key("--key", "hex:00ff")
        (b'customer-7', b'\x00\xff')
    """
    if not text.startswith("hex:"):
        return text.encode()
    try:
        return bytes.fromhex(text.removeprefix("hex:"))
    except ValueError as error:
        finding = Finding(option, f"`{text}` is not hexadecimal", "write `hex:00ff`")
        raise UserError(option, [finding]) from error


# --- which may go back ---------------------------------------------------------------------


class Skip(StrEnum):
    """Why a letter is not sent back, in the words of the report."""

    NO_LETTER = "not written by a sidecar"
    NO_PAYLOAD = "stub without payload"
    OTHER_TOPIC = "of another events topic"
    TOO_OFTEN = "tried too often"


def why_skipped(letter: Letter, events_topic: str, max_attempts: int) -> Skip | None:
    """Say why a letter is not sent back; None when it is.

    Args:
        letter: The letter.
        events_topic: Where it would be sent.
        max_attempts: Refused so often or more often, it is not sent again.
    """
    if not letter.said("code"):
        return Skip.NO_LETTER
    if not letter.has_payload:
        return Skip.NO_PAYLOAD
    if letter.said("topic") != events_topic:
        return Skip.OTHER_TOPIC
    return Skip.TOO_OFTEN if letter.attempts >= max_attempts else None


def outbound(letters: Sequence[Letter], events_topic: str) -> OutboundBatch:
    """Give the records that letters were, for the partitions that they came from.

    Key, value, headers and timestamp are the original ones. One header is added,
    `sidecar.error.attempts`: the encoder counts on from it, and leaves the others behind.

    Args:
        letters: In the order in which they were refused; `rows` are positions in it.
        events_topic: Where they go.
    """
    rows: dict[int, list[int]] = {}
    for row, letter in enumerate(letters):
        came_from = letter.number("partition")
        partition = letter.partition if came_from is None else came_from
        rows.setdefault(partition, []).append(row)
    return OutboundBatch(
        tuple(
            OutboundSlice(
                topic=events_topic,
                partition=partition,
                keys=[letters[row].key for row in inside],
                values=[letters[row].value for row in inside],
                headers=[_counted(letters[row]) for row in inside],
                rows=inside,
                timestamps_ms=[letters[row].number("timestamp") for row in inside],
            )
            for partition, inside in sorted(rows.items())
        )
    )


def _counted(letter: Letter) -> list[tuple[str, bytes | None]]:
    return [*letter.original_headers(), (_ATTEMPTS, str(letter.attempts).encode())]


# --- as text -------------------------------------------------------------------------------


def rfc3339(time_ms: int) -> str:
    """Write an instant in UTC with milliseconds; `unknown` for none, and past year 9999."""
    if time_ms == _UNKNOWN_TIME:
        return "unknown"
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "unknown"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def printable(text: str) -> str:
    r"""Write control characters as escapes: text from outside must not steer a terminal.

    Example:
        >>> printable("a\x1b[2J")
        'a\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def line_of(letter: Letter) -> str:
    """Give the line of a letter in `list`."""
    facts = letter.facts()
    text = (
        f"{facts['letter']:<10} {facts['code']:<19} {facts['stage']:<6} {facts['time']:<24} "
        f"attempts {facts['attempts']}  {facts['source']}  {facts['path']}"
    )
    return printable(text.rstrip())
