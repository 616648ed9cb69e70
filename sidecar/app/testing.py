"""Runs the tests of a config through the parts and stages of the live run, without a broker."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
from msgspec import ValidationError

from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.app.assembly import Assembly, assemble
from sidecar.app.case_report import CaseResult, Report
from sidecar.app.cases import LoadedSuite
from sidecar.app.outcomes import Outcome, Refused, differences, unreached
from sidecar.app.stubs import Impersonator, StandIn
from sidecar.config.case_checks import unknown_word
from sidecar.config.cases import Base64, Case, Sent, Step
from sidecar.config.convert import Clash
from sidecar.config.settings import OutputSettings, SidecarSettings
from sidecar.config.values import Duration
from sidecar.errors import ConfigError, Finding, ScorerTimeoutError, ScorerUnavailableError
from sidecar.events import Decision, OutboundBatch, RecordBatch, Span
from sidecar.pipeline.breaker import CircuitBreaker
from sidecar.pipeline.encode import ERROR_PREFIX
from sidecar.pipeline.framing import NO_SCHEMAS, offline_schemas
from sidecar.pipeline.signature import EventTime
from sidecar.ports import RawOutputs, Schemas
from sidecar.runtime.stages import Stages

_FIRST_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
# A test must not depend on how busy the machine is; a stub says `model_timeout` instead.
_PATIENCE = Duration(60_000)
_NEVER = 1 << 62


class StillClock:
    """A clock that stands still: nothing in a test depends on how long it takes."""

    def monotonic(self) -> float:
        """Give the same second always."""
        return 0.0

    def now_ms(self) -> int:
        """Give the same instant always."""
        return _FIRST_MS


async def run_cases(
    settings: SidecarSettings, suite: LoadedSuite, *, containing: str = ""
) -> Report:
    """Run the tests of a config.

    Every test begins with an empty cache. Events are decided one by one, which is what a live
    run gives for any batching.

    Args:
        settings: The config.
        suite: Its tests.
        containing: Only tests with this in their name run; case does not matter.

    Returns:
        A result for each test that ran, in the order of the file.

    Raises:
        UserError: The bundle is refused, the config does not fit it, or a test fits neither.
    """
    _refuse_pairs(settings, suite.path)
    # What a test says of a decision holds in whatever form it is written.
    settings = msgspec.structs.replace(settings, output=OutputSettings())
    parts = assemble(settings, StillClock())
    scripts = _containing(containing, _scripts(suite, parts), suite.path)
    bench = _Bench(parts, with_model=any(cue.asks_model for s in scripts for cue in s.cues))
    try:
        played = [(script, await bench.play(script)) for script in scripts]
    finally:
        await bench.close()
    results = tuple(
        CaseResult(script.case.name, script.line, tuple(differences(script.case, outcomes)))
        for script, outcomes in played
    )
    findings: Sequence[Finding] = ()
    if not containing:
        reached = [outcome for _, outcomes in played for outcome in outcomes]
        findings = list(unreached(parts.settings.fallback, reached))
    return Report(str(suite.path), results, tuple(findings))


# --- from the file to what is played ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cue:
    """One record, and what the model does when it is asked about it."""

    record: RecordBatch
    said: RawOutputs | Exception | None
    circuit_open: bool

    @property
    def asks_model(self) -> bool:
        return self.said is None and not self.circuit_open


@dataclass(frozen=True, slots=True)
class _Script:
    """One test, ready to be played."""

    case: Case
    line: int
    cues: Sequence[_Cue]


def _refuse_pairs(settings: SidecarSettings, path: Path) -> None:
    if settings.input.format == "kserve":
        message = "`kserve` makes an event of two records, and a test has one for each"
        mend = "replay a recorded log with `sidecar replay`"
        raise ConfigError(str(path), [Finding("$.input.format", message, mend)])


def _scripts(suite: LoadedSuite, parts: Assembly) -> list[_Script]:
    """Hold the tests against config and bundle, and make them ready.

    Raises:
        ConfigError: With everything that does not fit.
    """
    actor = Impersonator(parts.bundle.manifest.model, parts.settings.confidence.measure)
    scripts = []
    for index, case in enumerate(suite.tests):
        at = f"$.tests[{index}]"
        clashes = [
            clash for step in case.steps() for clash in _clashes(step, parts.settings, actor)
        ]
        for clash in clashes:
            suite.faults.add(at + clash.at, clash.message, clash.mend)
        if not clashes:
            cues = [
                _cue(step.sent, offset, parts.settings, actor)
                for offset, step in enumerate(case.steps())
            ]
            scripts.append(_Script(case, suite.faults.lines.get(at, 0), cues))
    if findings := suite.faults.findings():
        raise ConfigError(str(suite.path), findings)
    return scripts


def _containing(text: str, scripts: Sequence[_Script], path: Path) -> Sequence[_Script]:
    wanted = [each for each in scripts if text.casefold() in each.case.name.casefold()]
    if not wanted:
        mend = "give a part of a name that is there"
        raise ConfigError(str(path), [Finding("$.tests", f"no name has `{text}` in it", mend)])
    return wanted


def _clashes(step: Step, settings: SidecarSettings, actor: Impersonator) -> Iterator[Clash]:
    if step.sent.stub is not None:
        for clash in actor.clashes(step.sent.stub):
            yield clash._replace(at=f"{step.sent_at}.stub{clash.at}")
    rules = [rule.name for rule in settings.fallback.rules]
    rule = step.expected.rule
    if isinstance(rule, str) and rule not in rules:
        yield unknown_word(f"{step.expected_at}.rule", "rule", rule, rules)
    try:
        _value(step.sent, settings.input.format)
    except OverflowError:
        message = "has a number that MessagePack cannot hold"
        yield Clash(f"{step.sent_at}.event", message, "write one of at most 64 bits")


def _cue(sent: Sent, offset: int, settings: SidecarSettings, actor: Impersonator) -> _Cue:
    record = RecordBatch(
        topic=settings.topics.events,
        spans=(Span(0, 0, 1),),
        offsets=np.array([offset], np.int64),
        timestamps_ms=np.array([_timestamp_ms(sent)], np.int64),
        keys=[None if sent.key is None else sent.key.encode()],
        values=[_value(sent, settings.input.format)],
        headers=[[(name, text.encode()) for name, text in sent.headers.items()]],
    )
    if sent.stub is None:
        return _Cue(record, None, circuit_open=False)
    match sent.stub.error:
        case "model_error":
            return _Cue(record, ScorerUnavailableError("stub"), circuit_open=False)
        case "model_timeout":
            return _Cue(record, ScorerTimeoutError("stub"), circuit_open=False)
        case "circuit_open":
            return _Cue(record, None, circuit_open=True)
    return _Cue(record, actor.outputs(sent.stub), circuit_open=False)


def _value(sent: Sent, input_format: str) -> bytes | None:
    if isinstance(sent.raw, Base64):
        return sent.raw.base64
    if sent.raw is not None:
        return sent.raw.encode()
    if sent.event is None:
        return None
    encode = msgspec.msgpack.encode if input_format == "msgpack" else msgspec.json.encode
    return encode(sent.event)


def _timestamp_ms(sent: Sent) -> int:
    """Give the record's timestamp: without one, an event's own time is not in its future."""
    said = sent.timestamp
    if said is None and isinstance(sent.event, dict):
        try:
            said = msgspec.convert(sent.event.get("time"), EventTime)
        except ValidationError:
            said = None
    if isinstance(said, datetime):
        return round(said.timestamp() * 1000)
    return _FIRST_MS if said is None else said


# --- playing ---------------------------------------------------------------------------------


class _Bench:
    """The stages of the live run, twice: with the circuit closed for good, and with it open.

    What the breaker makes of many failures is a matter of time and load. In a test each event
    says itself whether the circuit is open.
    """

    def __init__(self, parts: Assembly, *, with_model: bool) -> None:
        self._parts = parts
        model = None
        if with_model:
            # One thread, so that sums come out the same on every machine.
            patient = msgspec.structs.replace(
                parts.settings.model, timeout=_PATIENCE, threads=1
            )
            model = OnnxScorer.open(parts.bundle, patient)
            model.verify_golden()
        self._stand_in = StandIn(model)
        closed, opened = self._breaker(_NEVER), self._breaker(1)
        opened.failed(0.0)
        self._closed = replace(parts, breaker=closed).stages(self._stand_in)
        self._open = replace(parts, breaker=opened).stages(self._stand_in)

    async def play(self, script: _Script) -> list[Outcome]:
        """Give what comes of each record of a test."""
        self._parts.decider.forget()
        return [await self._outcome(cue) for cue in script.cues]

    async def close(self) -> None:
        await self._stand_in.close()

    async def _outcome(self, cue: _Cue) -> Outcome:
        self._stand_in.said = cue.said
        stages: Stages = self._open if cue.circuit_open else self._closed
        decoded = stages.decode(cue.record, self._schemas(cue.record))
        decisions = await stages.decide(decoded)
        return self._read(stages.encode(decisions, decoded.rejections))

    def _schemas(self, record: RecordBatch) -> Schemas:
        """Give a record's schemas without asking a registry: JSON can be told by itself."""
        if self._parts.settings.registry is None:
            return NO_SCHEMAS
        return offline_schemas(record)

    def _read(self, outbound: OutboundBatch) -> Outcome:
        """Read what would be written for one record."""
        for part in outbound.slices:
            if part.topic == self._parts.settings.topics.decisions:
                return msgspec.json.decode(part.values[0] or b"", type=Decision)
            said = {name: text or b"" for name, text in (part.headers or [[]])[0]}
            return Refused(
                *(said[ERROR_PREFIX + name].decode() for name in ("code", "path", "message"))
            )
        return None

    def _breaker(self, min_calls: int) -> CircuitBreaker:
        settings = self._parts.settings.breaker
        return CircuitBreaker(msgspec.structs.replace(settings, min_calls=min_calls))
