"""Replays kept records through the pipeline of a config: the parts of a live run, no loop.

Nothing here asks what time it is, so the same records give the same decisions and the same
drift numbers, those of the live run too. What only a live run has is left out: the time limit
of the model, the circuit breaker, the pause after too many dead letters, and brokers that
refuse a record.
"""

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.adapters.replay_outputs import (
    Output,
    dead_letters_file,
    decisions_file,
    is_table,
    whole_file,
)
from sidecar.app.assembly import Assembly, assemble
from sidecar.app.registry import schema_book
from sidecar.app.replay_input import InputChoice, InputFormat, Recording, open_recording
from sidecar.app.replay_report import ReplayReport, Tally, make_report
from sidecar.app.replay_timeline import Timeline
from sidecar.app.report_page.page import render
from sidecar.clock import Clock
from sidecar.config.settings import OutputSettings, SidecarSettings
from sidecar.config.values import Duration
from sidecar.errors import FatalError, Finding, UserError
from sidecar.events import DecisionBatch, Decoded, OutboundBatch, RecordBatch, Signal
from sidecar.monitors.quality_snapshot import QualitySnapshot
from sidecar.monitors.snapshot import MonitorSnapshot
from sidecar.pipeline.framing import NO_SCHEMAS
from sidecar.runtime.schemas import SchemaBook
from sidecar.runtime.signals import SignalWriter
from sidecar.runtime.stages import Stages

Progress = Callable[[int, int], None]
"""Told how much of the input is read, and of how much."""

_NO_TIME_LIMIT = Duration(365 * 86_400_000)
_NEVER_OPENS = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRequest:
    """What is replayed, and where the outcome goes."""

    input: InputChoice
    decisions: Path | None = None
    dead_letters: Path | None = None
    reports: tuple[Path, ...] = ()
    """`.json` or `.html`, each at most once."""
    every: Duration | None = None
    """Event time between two points of the timeline; None for as many as are good to see."""
    as_live: bool = False
    """Keep the model's time limit and the circuit breaker."""


class Outcome(NamedTuple):
    """What became of one batch."""

    records: RecordBatch
    decoded: Decoded
    decisions: DecisionBatch
    outbound: OutboundBatch
    received: int
    """Records that were read for it; with `input.format: kserve` some wait for a later one."""
    joined: int = 0
    """Records whose outcome is that of another one."""


async def replay(
    settings: SidecarSettings,
    request: ReplayRequest,
    *,
    clock: Clock,
    environ: Mapping[str, str],
    progress: Progress = lambda done, of: None,
) -> ReplayReport:
    """Replay a file or a range of a topic.

    Args:
        settings: As `config.load` gives them.
        request: What is replayed, and where the outcome goes. Files that are there are
            replaced when all went well.
        clock: For the speed that is reported, and the breaker with `as_live`.
        environ: Where secrets of the brokers are looked up.
        progress: Told after each batch.

    Returns:
        The report, which also went into its file.

    Raises:
        UserError: Config, bundle, input or an option is wrong.
        SidecarError: The input went away, or a monitor failed.
    """
    _refuse_odd(settings, request)
    parts = assemble(settings if request.as_live else _unhurried(settings), clock)
    manifest = parts.bundle.manifest
    kind, recording = open_recording(request.input, parts.settings, manifest, environ)
    if kind is InputFormat.TABLE:
        parts = _reading_json(parts)
    if request.decisions is not None and is_table(request.decisions):
        parts = _writing_decisions(parts)
    tally = Tally()
    signals: list[Signal] = []
    writer = SignalWriter(
        name=str(parts.settings.name), model=manifest.name, version=manifest.version
    )
    every_ms = request.every.ms if request.every else None
    timeline = Timeline(parts.drift, settings.monitors.pane.ms, every_ms)
    async with AsyncExitStack() as stack:
        decisions, letters = _open_outputs(request, stack)
        reports = [
            (stack.enter_context(whole_file(path)), _REPORTS[path.suffix.lower()])
            for path in request.reports
        ]
        book = schema_book(parts, environ)
        if book is not None:
            stack.push_async_callback(book.close)
        scorer = _open_model(parts)
        stack.push_async_callback(scorer.close)
        began_s = clock.monotonic()
        max_records = settings.model.max_batch_records
        stages = parts.stages(scorer)
        async for outcome in outcomes(recording, stages, max_records, book):
            rejections = outcome.decoded.rejections
            tally.count(outcome.received, outcome.decisions, rejections, outcome.joined)
            parts.observers.settled(outcome.decisions, rejections)
            signals += _signals(parts, writer)
            _write(outcome, parts.settings.topics.decisions, decisions, letters)
            progress(*recording.progress)
        drift, quality = _end(parts, timeline)
        report = make_report(
            name=request.input.name,
            manifest=manifest,
            notes=recording.notes,
            tally=tally,
            monitors=drift,
            quality=quality,
            signals=signals,
            settings=settings.monitors,
            timeline=timeline,
            seconds=clock.monotonic() - began_s,
        )
        for file, write in reports:
            file.write(write(report))
    return report


async def outcomes(
    recording: Recording, stages: Stages, max_records: int, book: SchemaBook | None = None
) -> AsyncIterator[Outcome]:
    """Send records through the stages, batch by batch in their order.

    Args:
        recording: The records.
        stages: Around the model.
        max_records: Most records of a batch.
        book: Looks up the schemas that records name; None without a registry.

    Raises:
        RegistryUnavailableError: The registry gives no answer; a replay does not wait.
    """
    topic = ""
    async for records in recording.batches(max_records):
        topic, received = records.topic, len(records)
        if stages.joiner is None:
            schemas = NO_SCHEMAS if book is None else await book.of(records)
            decoded = stages.decode(records, schemas)
            yield await _outcome(stages, received, records, decoded)
        else:
            joined = stages.join(stages.joiner, records)
            yield await _outcome(
                stages, received, joined.records, joined.decoded, joined.joined
            )
    if stages.joiner is not None:
        rest = stages.joiner.flush(topic)
        yield await _outcome(stages, 0, rest.records, rest.decoded)


async def _outcome(
    stages: Stages,
    received: int,
    records: RecordBatch,
    decoded: Decoded,
    joined: Mapping[int, int] = MappingProxyType({}),
) -> Outcome:
    decisions = await stages.decide(decoded)
    outbound = stages.encode(decisions, decoded.rejections)
    return Outcome(records, decoded, decisions, outbound, received, sum(joined.values()))


def report_json(report: ReplayReport) -> bytes:
    """Write a report as JSON, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def report_html(report: ReplayReport) -> bytes:
    """Write a report as one HTML file, for people to look at."""
    return render(report).encode()


_REPORTS = {".json": report_json, ".html": report_html, ".htm": report_html}


# --- parts ---------------------------------------------------------------------------------


def _unhurried(settings: SidecarSettings) -> SidecarSettings:
    """Take out what lets time decide: the model is always asked, and may take its time."""
    return replace(
        settings,
        model=replace(settings.model, timeout=_NO_TIME_LIMIT),
        breaker=replace(settings.breaker, min_calls=_NEVER_OPENS),
    )


def _reading_json(parts: Assembly) -> Assembly:
    """Read bare JSON, which rows are made into, whatever the config expects on the topic."""
    settings = parts.settings
    as_json = replace(settings, input=replace(settings.input, format="json"))
    return dataclasses.replace(parts, settings=as_json)


def _writing_decisions(parts: Assembly) -> Assembly:
    """Write what columns are made of, whatever the config has on the topic."""
    settings = replace(parts.settings, output=OutputSettings())
    return dataclasses.replace(parts, settings=settings)


def _open_model(parts: Assembly) -> OnnxScorer:
    scorer = OnnxScorer.open(parts.bundle, parts.settings.model)
    scorer.verify_golden()
    scorer.warm_up(parts.settings.model.warm_up_runs)
    return scorer


def _open_outputs(
    request: ReplayRequest, stack: AsyncExitStack
) -> tuple[Sequence[Output], Sequence[Output]]:
    """Open the files for decisions and for dead letters; none where none is wanted."""
    decisions, letters = request.decisions, request.dead_letters
    return (
        [stack.enter_context(decisions_file(decisions))] if decisions else [],
        [stack.enter_context(dead_letters_file(letters))] if letters else [],
    )


def _write(
    outcome: Outcome,
    decisions_topic: str,
    decisions: Sequence[Output],
    letters: Sequence[Output],
) -> None:
    for part in outcome.outbound.slices:
        for output in decisions if part.topic == decisions_topic else letters:
            output.write(outcome.records, part)


def _end(parts: Assembly, timeline: Timeline) -> tuple[MonitorSnapshot, QualitySnapshot]:
    drift = parts.observers.read(parts.drift, timeline.close)
    quality = parts.quality_snapshot(drift)
    if drift is None or quality is None:
        failed = "drift" if drift is None else "quality"
        why = "failed, and has counted a part of the events only"
        raise FatalError(f"the {failed} monitor {why}")
    return drift, quality


def _signals(parts: Assembly, writer: SignalWriter) -> list[Signal]:
    """Give what is to be told since the last time."""
    edges = parts.drift.alerts.due(kept=False)
    parts.drift.alerts.told(edges)
    return [writer.signal(edge) for edge in edges]


def _refuse_odd(settings: SidecarSettings, request: ReplayRequest) -> None:
    """Refuse a request that cannot be meant."""
    findings = []
    pane = settings.monitors.pane
    if request.every is not None and request.every.ms < pane.ms:
        mend = f"give {pane} or more"
        findings.append(Finding("--every", f"is shorter than `monitors.pane`, {pane}", mend))
    taken = {Path(request.input.name).resolve(): "INPUT"} if request.input.topic is None else {}
    for option, path in (
        ("--decisions", request.decisions),
        ("--dead-letters", request.dead_letters),
        *(("--report", report) for report in request.reports),
    ):
        if path is None:
            continue
        other = taken.get(path.resolve())
        if other is not None:
            findings.append(Finding(option, f"is the same file as {other}", "name another"))
        taken[path.resolve()] = option
    findings += [
        Finding("--report", f"has an unknown ending: `{path.name}`", "write `.json` or `.html`")
        for path in request.reports
        if path.suffix.lower() not in _REPORTS
    ]
    if findings:
        raise UserError("the command", findings)
