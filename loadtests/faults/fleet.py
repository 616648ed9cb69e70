"""The sidecars of one run: real `sidecar run CONFIG` processes, and what they say meanwhile."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec
import yaml

from loadtests.faults.books import Scrape, parse
from loadtests.faults.clock import now_s, pause

_SCRAPE_S = 1.0
_HTTP_S = 3.0
_START_S = 60.0
_REFUSED = 2


class CannotRunError(Exception):
    """A sidecar does not take its config; the text is what it says."""


class Member:
    """One process."""

    def __init__(
        self, name: str, folder: Path, config: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        """Start it; its config and its output go to `folder`."""
        folder.mkdir(parents=True)
        path = folder / "sidecar.yaml"
        path.write_text(yaml.safe_dump(dict(config)))
        self.name = name
        self.killed = False
        """Whether it was ended by force, so that what it counted last is not known."""
        self.started_s = now_s()
        self._output = folder / "output.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "sidecar", "run", str(path)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "NO_COLOR": "1", **environment},
                start_new_session=True,
            )
        self.frozen = False
        self._address: str | None = None

    # --- what it says ------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """All that it printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def log(self) -> list[dict[str, Any]]:
        """Its log so far; a line that is still being written is left out."""
        whole = self.output.rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def said(self, event: str) -> list[dict[str, Any]]:
        """Give the lines of its log with this event."""
        return [line for line in self.log if line.get("event") == event]

    def tracebacks(self) -> int:
        """Give how many tracebacks it showed."""
        shown = self.output.count("Traceback (most recent call last)")
        return shown + sum("exception" in line for line in self.log)

    def await_said(self, event: str, within_s: float = _START_S) -> dict[str, Any]:
        """Wait for a line of its log.

        Raises:
            CannotRunError: It ended with exit code 2: it does not take its config.
            TimeoutError: It does not say so.
        """
        until = now_s() + within_s
        while not (lines := self.said(event)):
            if self.code == _REFUSED:
                raise CannotRunError(self.output)
            if now_s() > until or self.code is not None:
                raise TimeoutError(f"{self.name} does not say {event}: {self.output[-2000:]}")
            pause(0.05)
        return lines[-1]

    def scrape(self) -> Scrape | None:
        """Read its metrics and its readiness; None when it does not answer."""
        if self.frozen or self.code is not None or not self._known():
            return None
        with suppress(OSError, http.client.HTTPException):
            ready = self._get("/readyz")[0] == http.client.OK
            return parse(now_s(), self.name, self._get("/metrics")[1], ready=ready)
        return None

    def why_unready(self) -> str:
        """Give what `/readyz` says; empty when it does not answer, or is ready."""
        if self.frozen or self.code is not None or not self._known():
            return ""
        with suppress(OSError, http.client.HTTPException):
            status, text = self._get("/readyz")
            return "" if status == http.client.OK else text
        return ""

    def _known(self) -> bool:
        """Whether it has said where it listens."""
        if self._address is None:
            lines = self.said("sidecar_started")
            if lines:
                self._address = urlsplit(lines[0]["metrics_url"]).netloc
        return self._address is not None

    def _get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._address or "", timeout=_HTTP_S)
        with closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    # --- what is done to it ------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll()

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.killed = True
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Stop it where it is, heartbeats and all."""
        self.frozen = True
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)
        self.frozen = False

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def ends(self, within_s: float) -> int | None:
        """Wait for its end; None, and it is killed, when time is up."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


class Fleet:
    """All processes of a run, dead and alive, with a scrape of each every second."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Keep what every member has in its config."""
        self._folder = folder
        self.config = dict(config)
        self.environment: dict[str, str] = {}
        self.members: list[Member] = []
        self.scrapes: list[Scrape] = []
        self.last: dict[str, Scrape] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="scraper", daemon=True)

    def __enter__(self) -> Self:
        """Begin to scrape."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs, and keep what was scraped for those who look for a cause."""
        self._ended.set()
        self._thread.join()
        for member in self.members:
            if member.code is None:
                member.kill()
        lines = (msgspec.json.encode(asdict(scrape)) for scrape in self.scrapes)
        (self._folder / "scrapes.jsonl").write_bytes(b"\n".join(lines))

    def start(self, *, wait: bool = True) -> Member:
        """Start one more; unless told otherwise, wait until it has its share of the group."""
        name = f"member-{len(self.members)}"
        member = Member(name, self._folder / name, self.config, self.environment)
        self.members.append(member)
        if wait:
            member.await_said("partitions_assigned")
        return member

    @property
    def alive(self) -> list[Member]:
        """Those that run, or are frozen."""
        return [member for member in self.members if member.code is None]

    def scrape(self) -> None:
        """Scrape all that run."""
        for member in self.alive:
            scrape = member.scrape()
            if scrape is not None:
                self.scrapes.append(scrape)
                self.last[member.name] = scrape

    def stop(self, within_s: float) -> list[int | None]:
        """Ask all that run to end, and give their exit codes."""
        members = self.alive
        for member in members:
            member.ask_to_end()
        return [member.ends(within_s) for member in members]

    def _watch(self) -> None:
        while not self._ended.wait(_SCRAPE_S):
            self.scrape()
