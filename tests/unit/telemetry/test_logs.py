"""What a line of the log looks like, and what it never holds."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from sidecar.config.settings import LogSettings
from sidecar.config.values import Secret
from sidecar.telemetry.logs import configure_logs
from tests.telemetry_samples import metrics, records

CANARY = "canary-4711"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers, root.level = handlers, level


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in found:
        line.pop("timestamp")
    return found


def logging_to(stream: io.StringIO, settings: LogSettings | None = None) -> list[str]:
    counted: list[str] = []
    configure_logs(settings or LogSettings(), stream=stream, count=counted.append)
    return counted


def test_a_line_is_json_where_nobody_looks() -> None:
    stream = io.StringIO()
    logging_to(stream)

    structlog.get_logger().info("partitions_assigned", partitions=[0, 3])

    assert lines(stream) == [
        {"level": "info", "event": "partitions_assigned", "partitions": [0, 3]}
    ]


def test_a_line_is_text_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logging_to(stream)

    structlog.get_logger().warning("commit_failed", error="no answer")

    assert "[warning  ] commit_failed" in stream.getvalue()
    assert "error='no answer'" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_the_level_holds_back_what_is_below() -> None:
    stream = io.StringIO()
    counted = logging_to(stream, LogSettings(level="warning"))

    structlog.get_logger().info("step")
    structlog.get_logger().error("trouble")

    assert lines(stream) == [{"level": "error", "event": "trouble"}]
    assert counted == ["error"]


def test_lines_of_libraries_go_the_same_way_from_warning_up() -> None:
    stream = io.StringIO()
    counted = logging_to(stream, LogSettings(level="debug"))
    library = logging.getLogger("aiokafka.consumer")

    library.info("heartbeat")
    library.warning("no broker at %s", "b1")

    assert lines(stream) == [
        {
            "level": "warning",
            "event": "library_message",
            "message": "no broker at b1",
            "logger": "aiokafka.consumer",
        }
    ]
    assert counted == ["warning"]


def test_a_library_that_repeats_itself_is_heard_now_and_then() -> None:
    stream = io.StringIO()
    counted = logging_to(stream)
    library = logging.getLogger("aiokafka")

    def complain(at_s: float, message: str, line: int = 7) -> None:
        record = library.makeRecord("aiokafka", logging.ERROR, "a.py", line, message, (), None)
        record.created = at_s
        library.handle(record)

    for at_s in (0.0, 0.1, 9.9, 10.0, 10.1):
        complain(at_s, f"refused at {at_s}")
    complain(10.2, "another place", line=8)
    complain(5.0, "the clock was set back")

    said = [(line["message"], line.get("left_out")) for line in lines(stream)]
    assert said == [
        ("refused at 0.0", None),
        ("refused at 10.0", 2),
        ("another place", None),
        ("the clock was set back", 1),
    ]
    assert counted == ["error"] * 4


@pytest.mark.parametrize(
    ("task", "level"),
    [
        ("coro=<f() done, defined at lib/aiokafka/sender.py:1> exception=E()", "warning"),
        ("coro=<f() running at lib/aiokafka/sender.py:1> wait_for=<Future>", "warning"),
        ("coro=<f() done, defined at sidecar/a.py:1> exception=E()", "error"),
        (
            "coro=<f() running at sidecar/a.py:1> cb=[g() at lib/aiokafka/sender.py:2]",
            "error",
        ),
    ],
)
def test_what_is_left_of_a_client_is_no_error_of_ours(task: str, level: str) -> None:
    stream = io.StringIO()
    logging_to(stream)
    try:
        raise TimeoutError("no broker")
    except TimeoutError:
        logging.getLogger("asyncio").exception(
            "Task exception was never retrieved\nfuture: <Task finished %s>", task
        )

    (line,) = lines(stream)
    assert line["level"] == level
    assert ("exception" in line) == (level == "error")


def test_levels_are_counted_in_the_metrics() -> None:
    made = metrics()
    configure_logs(LogSettings(), stream=io.StringIO(), count=made.log_message)

    structlog.get_logger().error("trouble")
    logging.getLogger("x").warning("hm")

    body = made.exposition("").write().decode()
    assert 'sidecar_log_messages_total{level="error"} 1.0' in body
    assert 'sidecar_log_messages_total{level="warning"} 1.0' in body


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_payload_and_no_secret_is_shown(form: Any, tmp_path: Path) -> None:
    stream = io.StringIO()
    logging_to(stream, LogSettings(format=form))
    file = tmp_path / "password"
    file.write_text(CANARY)
    batch = records(1)
    batch.keys[0] = CANARY.encode()  # type: ignore[index]

    structlog.get_logger().info(
        "seen",
        value=CANARY.encode(),
        batch=batch,
        password=CANARY,
        deep={"sasl": {"token": CANARY}},
        many=[CANARY.encode()],
        secret_at=Secret(file=file),
    )

    assert CANARY not in stream.getvalue()
    assert "<11 bytes>" in stream.getvalue()
    assert "<RecordBatch>" in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_is_shown_without_its_locals(form: Any) -> None:
    stream = io.StringIO()
    logging_to(stream, LogSettings(format=form))

    def fail(payload: str) -> None:
        raise ValueError(f"{len(payload)} is too long")

    try:
        fail("-".join(["canary", "4711"]))
    except ValueError as error:
        structlog.get_logger().error("observer_switched_off", exc_info=error)

    assert CANARY not in stream.getvalue()
    assert "11 is too long" in stream.getvalue()
    assert "in fail" in stream.getvalue() or '"name": "fail"' in stream.getvalue()


def test_a_long_text_is_cut() -> None:
    stream = io.StringIO()
    logging_to(stream)

    structlog.get_logger().info("seen", text="x" * 10_000, nan=float("nan"))

    assert lines(stream) == [
        {"level": "info", "event": "seen", "text": "x" * 2_000 + "...", "nan": "nan"}
    ]
