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
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.adapters.replay_outputs import (
    Output,
    dead_letters_file,
    decisions_file,
    whole_file,
)
from sidecar.app.assembly import Assembly, assemble
from sidecar.app.replay_input import InputChoice, InputFormat, Recording, open_recording
from sidecar.app.replay_report import ReplayReport, Tally, make_report
from sidecar.app.replay_timeline import Timeline
from sidecar.clock import Clock
from sidecar.config.settings import SidecarSettings
from sidecar.config.values import Duration
from sidecar.errors import FatalError, Finding, UserError
from sidecar.events import DecisionBatch, Decoded, OutboundBatch, RecordBatch
from sidecar.monitors.snapshot import MonitorSnapshot
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
    report: Path | None = None
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
    tally = Tally()
    timeline = Timeline(
        parts.drift,
        parts.observers,
        settings.monitors.pane.ms,
        request.every.ms if request.every else None,
    )
    async with AsyncExitStack() as stack:
        decisions, letters = _open_outputs(request, stack)
        report_file = (
            stack.enter_context(whole_file(request.report)) if request.report else None
        )
        scorer = _open_model(parts)
        stack.push_async_callback(scorer.close)
        began_s = clock.monotonic()
        max_records = settings.model.max_batch_records
        async for outcome in outcomes(recording, parts.stages(scorer), max_records):
            rejections = outcome.decoded.rejections
            tally.count(len(outcome.records), outcome.decisions, rejections)
            timeline.observe(outcome.decisions, rejections)
            _write(outcome, parts.settings.topics.decisions, decisions, letters)
            progress(*recording.progress)
        report = make_report(
            name=request.input.name,
            manifest=manifest,
            notes=recording.notes,
            tally=tally,
            monitors=_snapshot(parts),
            timeline=timeline.points(),
            seconds=clock.monotonic() - began_s,
        )
        if report_file is not None:
            report_file.write(report_json(report))
    return report


async def outcomes(
    recording: Recording, stages: Stages, max_records: int
) -> AsyncIterator[Outcome]:
    """Send records through the stages, batch by batch in their order.

    Args:
        recording: The records.
        stages: Around the model.
        max_records: Most records of a batch.
    """
    async for records in recording.batches(max_records):
        decoded = stages.decode(records)
        decisions = await stages.decide(decoded)
        outbound = stages.encode(decisions, decoded.rejections)
        yield Outcome(records, decoded, decisions, outbound)


def report_json(report: ReplayReport) -> bytes:
    """Write a report as JSON, for people to read too."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


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


def _snapshot(parts: Assembly) -> MonitorSnapshot:
    snapshot = parts.observers.read(parts.drift, parts.drift.snapshot)
    if snapshot is None:
        raise FatalError("the drift monitor failed, and has counted a part of the events only")
    return snapshot


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
        ("--report", request.report),
    ):
        if path is None:
            continue
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            findings.append(Finding(option, f"is the same file as {other}", "name another"))
    if findings:
        raise UserError("the command", findings)
