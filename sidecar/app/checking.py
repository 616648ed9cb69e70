"""Checks config files, their bundles and their clusters, and lists all that is wrong."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import UNSET, Struct

from sidecar.adapters.cpu_limit import cpu_limit
from sidecar.adapters.kafka_doctor import examine
from sidecar.adapters.memory_limit import memory_limit
from sidecar.adapters.onnx_scorer import OnnxScorer
from sidecar.adapters.otlp import missing_trace_packages
from sidecar.adapters.schema_registry import missing_packages, registry_trouble
from sidecar.app.checks.check import Check, Severity
from sidecar.app.checks.cluster import CLUSTER_CHECKS
from sidecar.app.checks.config import CONFIG_CHECKS, Plan
from sidecar.app.checks.fit import FIT_CHECKS, Fit
from sidecar.app.checks.meeting import Meeting, topic_keys
from sidecar.app.checks.topics import TOPIC_CHECKS
from sidecar.bundle.calibration import resolve_threshold
from sidecar.bundle.load import Bundle, load_bundle
from sidecar.clock import Clock
from sidecar.config.defaults import resolve, transactional_id
from sidecar.config.faults import Faults
from sidecar.config.load import load_settings
from sidecar.config.parse import parse
from sidecar.config.settings import SidecarSettings
from sidecar.errors import BundleError, Finding, UserError
from sidecar.monitors.drift import DriftMonitor
from sidecar.monitors.quality import QualityMonitor
from sidecar.pipeline.decide import Decider
from sidecar.pipeline.decode import EventDecoder

T = TypeVar("T")

CONFIG_FAULT = "config-fault"
BUNDLE_FAULT = "bundle-fault"
FIT_FAULT = "fit-fault"
CLUSTER_NOT_ASKED = "cluster-not-asked"

# The counts of a busy pane need two bytes each, which hold up to 65,535.
_BYTES_PER_COUNT = 2
_LINE = re.compile(r"\bline (\d+)\b")


class Problem(Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or that could not be checked."""

    file: str
    """The config file, or a file of its bundle."""
    line: int | None = None
    """Counted from 1; None where the file or the problem has none."""
    path: str = ""
    """Of the setting: `$.model.timeout`; empty in a bundle."""
    check: str
    """Name of the check that found it."""
    severity: Severity = Severity.ERROR
    message: str
    mend: str


async def check_files(
    paths: Sequence[Path],
    environ: Mapping[str, str],
    clock: Clock,
    *,
    connect_s: float | None = None,
) -> list[Problem]:
    """Find everything that is wrong with config files.

    Args:
        paths: The files.
        environ: Variables for `${VAR}` and, with `connect_s`, for secrets.
        clock: Compared with the clock of the brokers.
        connect_s: Longest time for the clusters, all at once; None leaves them alone.

    Returns:
        The problems of each file in its order.
    """
    desks = [_Desk(path) for path in paths]
    for desk in desks:
        desk.check(environ)
    if connect_s is not None:
        await asyncio.gather(*(desk.connect(environ, clock, connect_s) for desk in desks))
    return [problem for desk in desks for problem in desk.problems()]


class _Desk:
    """Takes one config file through all checks and notes what they find."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = Faults()
        self._problems: list[Problem] = []
        self._resolved: SidecarSettings | None = None
        self._window_bytes = 0

    def problems(self) -> list[Problem]:
        """Give all problems: the config's by line, then those of the bundle."""
        own = str(self._path)
        return sorted(self._problems, key=lambda p: (p.file != own, p.line or 0))

    def check(self, environ: Mapping[str, str]) -> None:
        """Check all that needs no connection."""
        with self._noting(CONFIG_FAULT):
            parse(self._path, self._lines)
            settings = load_settings(self._path, environ)
        if self._problems:
            return
        self._run(
            CONFIG_CHECKS,
            Plan(settings, cpu_limit(), missing_packages(), missing_trace_packages()),
        )
        if settings.name is not UNSET:
            with self._noting(FIT_FAULT):
                self._resolved = resolve(settings, str(settings.name), self._path.parent)
        bundle = self._load_bundle(settings)
        if bundle is not None and (fit := self._fit(settings, bundle)) is not None:
            self._window_bytes = fit.window_bytes
            self._run(FIT_CHECKS, fit)

    async def connect(self, environ: Mapping[str, str], clock: Clock, timeout_s: float) -> None:
        """Check the cluster, as far as the config says which topics it is about."""
        settings = self._resolved
        if settings is None:
            message = (
                "not checked: the cluster, whose names come from a config or bundle at fault"
            )
            self._note(
                Finding("$", message, "mend these first"), CLUSTER_NOT_ASKED, Severity.NOTE
            )
            return
        topics = settings.topics
        once = settings.delivery.mode == "exactly_once"
        cluster, registry = await asyncio.gather(
            examine(
                settings.kafka,
                [getattr(topics, key) for key in topic_keys(settings)],
                str(settings.name),
                environ=environ,
                clock=clock,
                timeout_s=timeout_s,
                transactional_id=transactional_id(settings, 0) if once else None,
            ),
            _registry_trouble(settings, environ, timeout_s),
        )
        meeting = Meeting(settings, cluster, self._window_bytes, registry)
        self._run((*CLUSTER_CHECKS, *TOPIC_CHECKS), meeting)

    # --- the bundle --------------------------------------------------------------------------

    def _load_bundle(self, settings: SidecarSettings) -> Bundle | None:
        """Give the bundle when its files are sound; its golden rows are run here."""
        folder = settings.model.bundle
        if not folder.is_dir():
            mend = "build it with `sidecar bundle build`, or mend the path"
            missing = Finding("$.model.bundle", f"there is no folder `{_shown(folder)}`", mend)
            self._note(missing, BUNDLE_FAULT)
            return None
        bundle = None
        with self._noting(BUNDLE_FAULT):
            bundle = load_bundle(folder, max_model_bytes=settings.model.max_bytes.bytes)
            OnnxScorer.open(bundle, settings.model).verify_golden()
        return bundle

    def _fit(self, settings: SidecarSettings, bundle: Bundle) -> Fit | None:
        """Join config and bundle as the service does; None when they do not fit."""
        manifest, before = bundle.manifest, len(self._problems)
        threshold, window_bytes = 0.0, 0
        with self._noting(FIT_FAULT):
            settings = resolve(settings, manifest.name, self._path.parent)
            self._resolved = settings
        with self._noting(FIT_FAULT):
            threshold = resolve_threshold(bundle.calibration, settings.confidence)
        with self._noting(FIT_FAULT):
            Decider(manifest, settings.fallback, threshold)
        with self._noting(FIT_FAULT):
            EventDecoder(manifest, settings.input, settings.limits)
        with self._noting(FIT_FAULT):
            window_bytes = _window_bytes(settings, bundle)
        if len(self._problems) > before:
            return None
        model_bytes = bundle.model_path.stat().st_size
        return Fit(settings, bundle, threshold, window_bytes, model_bytes, memory_limit())

    # --- notes -------------------------------------------------------------------------------

    def _run(self, checks: Sequence[Check[T]], subject: T) -> None:
        for check in checks:
            for spot in check.find(subject):
                finding = Finding(spot.path, spot.message, check.mend)
                self._note(finding, check.name, check.severity)

    @contextmanager
    def _noting(self, check: str) -> Iterator[None]:
        """Note the faults that are raised inside."""
        try:
            yield
        except BundleError as error:
            for finding in error.findings:
                file = _shown(Path(error.what) / finding.path)
                self._note(finding, check, file=file)
        except UserError as error:
            for finding in error.findings:
                self._note(finding, check)

    def _note(
        self,
        finding: Finding,
        check: str,
        severity: Severity = Severity.ERROR,
        file: str | None = None,
    ) -> None:
        line = self._line(finding) if file is None else 0
        problem = Problem(
            file=file or str(self._path),
            line=line or None,
            path="" if file else finding.path,
            check=check,
            severity=severity,
            # The loader tells the line in words; here it has a place of its own.
            message=finding.message.removesuffix(f", line {line}"),
            mend=finding.mend,
        )
        if problem not in self._problems:
            self._problems.append(problem)

    def _line(self, finding: Finding) -> int:
        """Give the line of a setting; with a syntax error only its text knows it."""
        said = _LINE.search(finding.message) if not self._lines.lines else None
        return int(said[1]) if said else self._lines.line_of(finding.path)


async def _registry_trouble(
    settings: SidecarSettings, environ: Mapping[str, str], timeout_s: float
) -> tuple[str, str] | None:
    """Give what is wrong with the schema registry, as far as it can be asked."""
    if settings.registry is None or missing_packages():
        return None
    return await registry_trouble(settings.registry, environ, timeout_s)


def _window_bytes(settings: SidecarSettings, bundle: Bundle) -> int:
    """Give the memory of one partition's windows: panes times counts."""
    monitors = settings.monitors
    drift = DriftMonitor(
        bundle.manifest, bundle.reference, monitors, settings.confidence.measure, bundle.slots
    )
    quality = QualityMonitor(bundle.manifest, bundle.reference, monitors)
    counts = drift.windows.size + quality.windows.size
    return monitors.windows[-1].ms // monitors.pane.ms * counts * _BYTES_PER_COUNT


def _shown(path: Path) -> str:
    """Give a path as short as it can be said from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
