"""How the process logs: one line per event, a fixed name and fields, never a payload.

Lines of the libraries beneath (from warning up) go the same way. The logger itself is
structlog's, taken with `structlog.get_logger()` wherever something is said.
"""

import logging
import math
import os
import re
from collections.abc import Callable, Mapping
from numbers import Integral
from pathlib import Path
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor, WrappedLogger

from sidecar.config.settings import LogSettings
from sidecar.config.values import Address, ByteSize, Duration, Secret

_MASKED = frozenset({"password", "secret", "token", "authorization", "credentials"})
_MASK = "***"
# Types whose text is meant for people. Everything else could carry a payload in its repr.
_SPOKEN = (Address, ByteSize, Duration, Secret, Path, BaseException)
# A client that waits for a broker logs each try, some 40 lines a second.
_LIBRARY_QUIET_S = 10.0
# asyncio tells where the coroutine of a task stands, or begins.
_CLIENTS_TASK = re.compile(r"coro=<[^>]* at [^>]*[/\\]aiokafka[/\\]")
_MAX_TEXT = 2_000
_MAX_DEPTH = 4


def configure_logs(
    settings: LogSettings, *, stream: TextIO, count: Callable[[str], None]
) -> None:
    """Send all log lines of the process to a stream. Global, so only the app calls it.

    Args:
        settings: Level and format.
        stream: Where lines go, normally standard error.
        count: Told the level of each line that is written, normally `Metrics.log_message`.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    prepare: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _Count(count),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        shown_safely,
        _lead,
    ]
    render = _renderers(settings, stream)
    structlog.configure(
        processors=[*prepare, *render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler = logging.StreamHandler(stream)
    handler.addFilter(_of_the_client)
    handler.addFilter(_Sparse())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_foreign, *prepare], processors=[strip, *render]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.WARNING))


def _renderers(settings: LogSettings, stream: TextIO) -> list[Processor]:
    """Give what writes a line: text for a person, JSON for a machine; locals for nobody."""
    text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    if text:
        colors = stream.isatty() and not os.environ.get("NO_COLOR")
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    frames = ExceptionDictTransformer(show_locals=False, max_frames=20)
    return [
        structlog.processors.ExceptionRenderer(frames),
        structlog.processors.JSONRenderer(),
    ]


class _Count:
    """Counts lines on their way through."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        self._count(event["level"])
        return event


def _of_the_client(record: logging.LogRecord) -> bool:
    """Take the error from the end of a task of the Kafka client's own.

    A call that is given up, or a client that is thrown away, leaves tasks behind whose fate
    concerns nobody; asyncio tells it as an error with a traceback.
    """
    if record.name == "asyncio" and _CLIENTS_TASK.search(record.getMessage()):
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
    return True


class _Sparse(logging.Filter):
    """Lets one place of a library's code say something once in a while, however it changes."""

    def __init__(self) -> None:
        super().__init__()
        # Places are bounded by the code, texts are not.
        self._said: dict[tuple[str, int], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place = record.pathname, record.lineno
        last_s, left_out = self._said.get(place, (-math.inf, 0))
        # The clock of the lines may be set back.
        if 0 <= record.created - last_s < _LIBRARY_QUIET_S:
            self._said[place] = last_s, left_out + 1
            return False
        self._said[place] = record.created, 0
        record.left_out = left_out
        return True


def _foreign(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Give a library's line a fixed name too; its text and its logger become fields."""
    record = event["_record"]
    event["message"] = event["event"]
    event["logger"] = record.name
    if record.left_out:
        event["left_out"] = record.left_out
    event["event"] = "library_message"
    return event


def _lead(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Put first what every line has."""
    return {name: event[name] for name in ("timestamp", "level", "event")} | dict(event)


def shown_safely(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Keep payloads and secrets out of a line, by type and by name.

    Numbers, texts and what is made of them pass; bytes are shown by their length, any other
    object by its type, long texts are cut, and fields named like a secret are masked.
    """
    return {
        name: value if name == "exc_info" or name.startswith("_") else _safe(name, value, 0)
        for name, value in event.items()
    }


def _safe(name: str, value: object, depth: int) -> object:
    if name.lower() in _MASKED:
        return _MASK
    match value:
        case float() if not math.isfinite(value):
            return str(value)  # JSON has no word for it
        case None | bool() | int() | float():
            return value
        case Integral():
            return int(value)
        case str():
            return value if len(value) <= _MAX_TEXT else value[:_MAX_TEXT] + "..."
        case bytes() | bytearray() | memoryview():
            return f"<{len(value)} bytes>"
        case Mapping() if depth < _MAX_DEPTH:
            return {str(key): _safe(str(key), item, depth + 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _MAX_DEPTH:
            return [_safe("", item, depth + 1) for item in value]
        case _ if isinstance(value, _SPOKEN):
            return _safe("", str(value), depth)
    return f"<{type(value).__name__}>"
