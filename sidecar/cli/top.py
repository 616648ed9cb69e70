"""`sidecar top`: running sidecars in a terminal."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import click

from sidecar.clock import SystemClock
from sidecar.config.values import Secret
from sidecar.top.plain import plain
from sidecar.top.target import Target, parse_target, read_token, target_of
from sidecar.top.watch import Watch

_HERE = "127.0.0.1:9465"  # keep with the default of `http.admin`
_FILE = click.Path(path_type=Path)


class Seconds(click.FloatRange):
    """A number of seconds; click's own range lets through what is no number."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


@click.command()
@click.argument("addresses", nargs=-1, metavar="[ADDRESS]...")
@click.option("--config", "configs", multiple=True, type=_FILE, help="Take `http.admin` of it.")
@click.option("--token-file", type=_FILE, help="Holds the token of `http.admin_token`.")
@click.option(
    "--interval",
    type=Seconds(min=0.2, max=3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two questions to a sidecar.",
)
@click.option(
    "--timeout",
    type=Seconds(min=0.1, max=60),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="For an answer; then the sidecar is away.",
)
@click.option("--once", is_flag=True, help="Print what there is and end.")
def top(
    addresses: tuple[str, ...],
    configs: tuple[Path, ...],
    token_file: Path | None,
    interval: float,
    timeout: float,
    once: bool,
) -> None:
    """Watch running sidecars: rates, lag, fallbacks, dead letters, drift.

    ADDRESS is HOST:PORT of an admin listener (`http.admin`), or a URL; without one,
    127.0.0.1:9465 is asked. Where standard output is no terminal, it is as with --once.

    Exit codes of --once: 0 when all of them answered, else 1.

    \b
    Examples:
      sidecar top
      sidecar top 10.0.0.7:9465 10.0.0.8:9465 --token-file /run/secrets/token
      sidecar top --once --config sidecar.yaml
    """  # noqa: D301  the backspace is click's mark for lines that stay as they are
    clock = SystemClock()
    targets = _targets(addresses, configs, token_file)
    watch = Watch(targets, clock=clock, interval_s=interval, timeout_s=timeout)
    if once or not _on_terminal():
        seen = watch.once()
        click.echo(plain(seen, clock.monotonic()))
        sys.exit(any(sighting.fault for sighting in seen))
    from sidecar.top.screen import TopApp

    sys.exit(TopApp(watch, clock).run(mouse=False))


def _targets(
    addresses: tuple[str, ...], configs: tuple[Path, ...], token_file: Path | None
) -> list[Target]:
    token = None
    if token_file is not None:
        token = read_token(Secret(file=token_file), str(token_file), os.environ)
    named = addresses or (() if configs else (_HERE,))
    found = [parse_target(address, token) for address in named]
    found += [target_of(config, os.environ, token) for config in configs]
    return list({target.url: target for target in found}.values())


def _on_terminal() -> bool:
    # Keys come from standard input, and textual draws on standard error.
    streams = (sys.stdin, sys.stdout, sys.stderr)
    return all(each.isatty() for each in streams) and os.environ.get("TERM") != "dumb"
