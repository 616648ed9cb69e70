"""Apicurio Registry, a schema registry that others wrote, as its own distribution runs it."""

import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from sidecar.clock import SystemClock
from tests.brokers.kafka import CannotRunError, free_port

VERSION = "2.6.13.Final"
"""The last one that runs on Java 17."""
_ROOT = Path(__file__).parents[2]
_READY_S = 60.0
_STOP_S = 10.0


def apicurio_home() -> Path:
    """Give the folder of the distribution, fetched once.

    Raises:
        CannotRunError: Java or Maven is missing, or nothing can be fetched.
    """
    if shutil.which("java") is None:
        raise CannotRunError("no `java`: Apicurio Registry needs Java 17")
    if given := os.environ.get("APICURIO_HOME"):
        return Path(given)
    target = _ROOT / ".cache" / f"apicurio-{VERSION}"
    if not target.exists():
        _fetch(target)
    return target


def _fetch(target: Path) -> None:
    if shutil.which("mvn") is None:
        raise CannotRunError("no `mvn` to fetch Apicurio Registry, and no APICURIO_HOME")
    # Filled beside its place and moved there whole: an interrupted fetch leaves nothing.
    filling = target.with_name(f"{target.name}.{os.getpid()}")
    command = [
        *("mvn", "-q", "-B", "dependency:unpack"),
        f"-Dartifact=io.apicurio:apicurio-registry-app:{VERSION}:zip:all",
        f"-DoutputDirectory={filling}",
    ]
    # Maven leaves its markers where it runs, as there is no project.
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRunError(f"Maven could not fetch Apicurio Registry:\n{done.stdout[-2000:]}")
    if not target.exists():
        filling.rename(target)


class Apicurio:
    """One registry that keeps its schemas in memory."""

    def __init__(self, folder: Path) -> None:
        """Say where its log goes; `start` runs it."""
        self._home = apicurio_home()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._log = folder / "registry.log"
        self.url = f"http://127.0.0.1:{self._port}/apis/ccompat/v7"

    def start(self) -> "Apicurio":
        """Run it and wait until it answers."""
        jar = f"apicurio-registry-app-{VERSION}-runner.jar"
        environment = {
            **os.environ,
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(self._port),
        }
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["java", "-Xmx256m", "-XX:+UseSerialGC", "-jar", jar],
                cwd=self._home,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        clock = SystemClock()
        until = clock.monotonic() + _READY_S
        while not self._answers():
            if self._process.poll() is not None or clock.monotonic() > until:
                self.stop()
                raise RuntimeError(f"it did not start:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.2)
        return self

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/subjects", timeout=1):  # noqa: S310
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """End it; its schemas are gone."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
