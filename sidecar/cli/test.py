"""`sidecar test CONFIG`: unit tests of a config."""

import asyncio
import os
import sys
from pathlib import Path

import click
import msgspec

from sidecar.app.case_report import as_json, as_junit, as_text
from sidecar.app.cases import cases_beside, load_cases
from sidecar.app.testing import run_cases
from sidecar.cli.choice import Choice
from sidecar.config.load import load_settings
from sidecar.config.settings import LogSettings
from sidecar.errors import Finding, UserError
from sidecar.telemetry.logs import configure_logs

_PATH = click.Path(path_type=Path)


@click.command("test")
@click.argument("config", type=_PATH)
@click.argument("tests", type=_PATH, required=False)
@click.option("--filter", "containing", default="", help="Only tests with this in their name.")
@click.option(
    "--format",
    "form",
    type=Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How the report is printed.",
)
@click.option("--junit", type=_PATH, help="Write a JUnit XML report to this file as well.")
@click.option("--allow-unreached", is_flag=True, help="Pass though no test reaches some rule.")
def run_tests(
    config: Path,
    tests: Path | None,
    containing: str,
    form: str,
    junit: Path | None,
    allow_unreached: bool,
) -> None:
    """Run the unit tests of a config: events, and the outcome each must get.

    TESTS is CONFIG's name with `.test` before the extension when absent: sidecar.test.yaml.
    The events go through the live run's own stages; no broker is needed. Each fallback rule,
    the cache and the default must be reached by some test.

    \b
      tests:
        - name: a large amount goes to review when the model is unsure
          event: {id: a, features: {amount: 9000}}
          stub: {label: repaid, confidence: 0.55}
          expect: {source: rule, label: review}

    Exit codes: 0 all pass, 1 some fail or a rule is not reached, 2 a file is wrong.

    Example: sidecar test sidecar.yaml
    """  # noqa: D301  the backspace is click's mark for lines that stay as they are
    # A stub that fails is no news; a model that does shows as a difference.
    configure_logs(LogSettings(level="error"), stream=sys.stderr, count=lambda level: None)
    settings = load_settings(config, os.environ)
    suite = load_cases(tests or cases_beside(config), os.environ)
    report = asyncio.run(run_cases(settings, suite, containing=containing))
    if allow_unreached:
        report = msgspec.structs.replace(report, unreached=())
    if junit is not None:
        _write(junit, as_junit(report))
    click.echo(as_json(report) if form == "json" else as_text(report))
    sys.exit(1 if report.failed or report.unreached else 0)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        mend = "give a file that can be written"
        raise UserError("--junit", [Finding(str(path), reason, mend)]) from exc
