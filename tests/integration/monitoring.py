"""Prometheus and Alertmanager as processes, with the shipped rules and the shipped config.

A minute is a second here: ranges of queries, `for`, `keep_firing_for` and the intervals of
Alertmanager are a sixtieth of what is shipped. Nothing else of either file is changed, but for
where notifications go to.
"""

import http.client
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import yaml

from tests.brokers.kafka import free_port
from tests.integration.service import eventually

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
RULES, ROUTES = "rules.yaml", "alertmanager.yaml"
FACTOR = 60
_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_TOKEN = "of-the-drill"
_HTTP_S = 5.0


def faster(duration: str) -> str:
    """Give a sixtieth of a duration.

    >>> faster("5m")
    '5000ms'
    """
    number, unit = duration[:-1], duration[-1]
    return f"{int(number) * _MS[unit] // FACTOR}ms"


def faster_rules(text: str) -> dict[str, Any]:
    """Give rules whose ranges, `for` and `keep_firing_for` are a sixtieth."""
    rules: dict[str, Any] = yaml.safe_load(text)
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        rule["expr"] = re.sub(r"\[(\d+[smhd])\]", lambda m: f"[{faster(m[1])}]", rule["expr"])
        for name in {"for", "keep_firing_for"} & rule.keys():
            rule[name] = faster(rule[name])
    return rules


def faster_routes(text: str, listener: str, token: Path) -> dict[str, Any]:
    """Give a config of Alertmanager that hurries, with its receivers at one listener."""
    config: dict[str, Any] = yaml.safe_load(text)
    for route in (config["route"], *config["route"]["routes"]):
        for name in {"group_wait", "group_interval", "repeat_interval"} & route.keys():
            route[name] = faster(route[name])
    for receiver in config["receivers"]:
        (hook,) = receiver["webhook_configs"]
        hook["url"] = f"{listener}/{receiver['name']}"
        hook["http_config"]["authorization"]["credentials_file"] = str(token)
    return config


class Notification(NamedTuple):
    """One alert of what came to a receiver."""

    receiver: str
    status: str
    """`firing` or `resolved`."""
    labels: Mapping[str, str]


class Inbox:
    """Where notifications arrive: a listener that keeps what it is told."""

    def __init__(self) -> None:
        """Listen."""
        self.received: list[Notification] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                known = self.headers["Authorization"] == f"Bearer {_TOKEN}"
                if known:
                    inbox.received.extend(
                        Notification(self.path[1:], alert["status"], alert["labels"])
                        for alert in body["alerts"]
                    )
                self.send_response(200 if known else 401)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def of(self, job: str) -> list[Notification]:
        """Give what was told of a job."""
        return [told for told in list(self.received) if told.labels["job"] == job]

    def statuses(self, receiver: str, **labels: str) -> list[str]:
        """Give what a receiver was told of alerts with these labels, in order."""
        return [
            told.status
            for told in list(self.received)
            if told.receiver == receiver and labels.items() <= told.labels.items()
        ]


class Alert(NamedTuple):
    """An alert as Alertmanager has it."""

    name: str
    job: str
    state: str
    """`active` or `suppressed`."""
    silenced_by: frozenset[str]
    """Names of the alerts that inhibit it."""


class Monitoring:
    """Both servers, and what they say."""

    def __init__(self, ports: Mapping[str, int], inbox: Inbox, amtool: str) -> None:
        """Know where they listen."""
        self._prometheus = ports["prometheus"]
        self._alertmanager = ports["alertmanager"]
        self._amtool = amtool
        self.inbox = inbox

    def query(self, query: str, start: float, end: float) -> list[dict[str, Any]]:
        """Ask Prometheus for series over a span of time, at every second."""
        asked = urlencode({"query": query, "start": start, "end": end, "step": 1})
        answer = _get(self._prometheus, f"/api/v1/query_range?{asked}")
        assert answer["status"] == "success", answer
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def exemplars(self, query: str, start: float, end: float) -> list[dict[str, Any]]:
        """Ask Prometheus for the exemplars of series over a span of time."""
        asked = urlencode({"query": query, "start": start, "end": end})
        answer = _get(self._prometheus, f"/api/v1/query_exemplars?{asked}")
        assert answer["status"] == "success", answer
        return [each for series in answer["data"] for each in series["exemplars"]]

    def targets_up(self) -> int:
        """Give how many targets answered their last scrape."""
        active = _get(self._prometheus, "/api/v1/targets")["data"]["activeTargets"]
        return sum(target["health"] == "up" for target in active)

    def alerts(self, job: str) -> list[Alert]:
        """Give the alerts of a job that have not ended, by Alertmanager's API."""
        return _alerts(_get(self._alertmanager, "/api/v2/alerts"), job)

    def alerts_by_amtool(self, job: str) -> list[Alert]:
        """Give them as `amtool alert query` prints them, the inhibited ones included."""
        address = f"--alertmanager.url=http://127.0.0.1:{self._alertmanager}"
        command = [self._amtool, address, "alert", "query", "-i", "-a", "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        return _alerts(json.loads(done.stdout), job)

    def told(self, receiver: str, alert: str, job: str, status: str = "firing") -> None:
        """Wait until a receiver knows of an alert; its last word must be the status."""
        eventually(
            lambda: self.inbox.statuses(receiver, alertname=alert, job=job)[-1:] == [status],
            lambda: f"{alert} of {job} {status} at {receiver}; there are {self.alerts(job)}",
            within_s=150,
        )

    def silent(self, alert: str, job: str, sources: set[str]) -> None:
        """Wait until an alert is there and kept silent by some of these alerts."""
        eventually(
            lambda: any(
                one.name == alert and one.state == "suppressed" and one.silenced_by & sources
                for one in self.alerts(job)
            ),
            lambda: f"{alert} of {job} silent because of {sources}: {self.alerts(job)}",
            within_s=150,
        )

    def heard(self, alert: str, job: str) -> None:
        """Wait until an alert that was kept silent is not any more, and is still there."""
        eventually(
            lambda: (alert, "active") in {(one.name, one.state) for one in self.alerts(job)},
            lambda: f"{alert} of {job} active: {self.alerts(job)}",
            within_s=60,
        )

    def over(self, job: str, *alerts: str) -> None:
        """Wait until none of these alerts is left."""
        eventually(
            lambda: not {one.name for one in self.alerts(job)} & set(alerts),
            lambda: f"an end of {alerts} of {job}: {self.alerts(job)}",
            within_s=120,
        )


def _alerts(answer: list[dict[str, Any]], job: str) -> list[Alert]:
    names = {alert["fingerprint"]: alert["labels"]["alertname"] for alert in answer}
    return [
        Alert(
            alert["labels"]["alertname"],
            job,
            alert["status"]["state"],
            frozenset(names[one] for one in alert["status"]["inhibitedBy"] if one in names),
        )
        for alert in answer
        if alert["labels"]["job"] == job
    ]


def _get(port: int, path: str) -> Any:
    with closing(
        http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=_HTTP_S)
    ) as connection:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def programs() -> dict[str, str]:
    """Give where the servers and `amtool` are; skip where one of them is not."""
    names = {
        "prometheus": ("prometheus",),
        "alertmanager": ("alertmanager", "prometheus-alertmanager"),
        "amtool": ("amtool",),
    }
    found = {
        name: next(filter(None, map(shutil.which, spelled)), "")
        for name, spelled in names.items()
    }
    if missing := [name for name, path in found.items() if not path]:
        pytest.skip(
            f"{', '.join(missing)} not installed: Debian's packages are `prometheus` and "
            "`prometheus-alertmanager`"
        )
    return found


@contextmanager
def monitoring(
    folder: Path, programs: Mapping[str, str], targets: Mapping[str, str]
) -> Iterator[Monitoring]:
    """Run both servers, with one scrape job for each target.

    Args:
        folder: Where configs, data and output go.
        programs: Where they are.
        targets: Address by the name of its job.
    """
    ports = {"alertmanager": free_port(), "prometheus": free_port()}
    inbox = Inbox()
    _write_configs(folder, inbox.url, f"127.0.0.1:{ports['alertmanager']}", targets)
    data = {"alertmanager": "--storage.path", "prometheus": "--storage.tsdb.path"}
    running = []
    try:
        for name, port in ports.items():
            command = [
                programs[name],
                f"--config.file={folder / f'{name}.yaml'}",
                f"{data[name]}={folder / name}",
                f"--web.listen-address=127.0.0.1:{port}",
            ]
            command += {
                "alertmanager": ["--cluster.listen-address="],  # it is alone
                "prometheus": ["--enable-feature=exemplar-storage"],
            }[name]
            with (folder / f"{name}.log").open("wb") as log:
                running.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        for name, port in ports.items():
            eventually(partial(_ready, port), (folder / f"{name}.log").read_text)
        yield Monitoring(ports, inbox, programs["amtool"])
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)
        inbox.close()


def _write_configs(
    folder: Path, listener: str, alertmanager: str, targets: Mapping[str, str]
) -> None:
    token = folder / "token"
    token.write_text(_TOKEN)
    shipped = {name: (MONITORING / name).read_text() for name in (RULES, ROUTES)}
    second = dict.fromkeys(("scrape_interval", "scrape_timeout", "evaluation_interval"), "1s")
    scrapes = {
        "global": second,
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
    }
    written = {
        RULES: faster_rules(shipped[RULES]),
        ROUTES: faster_routes(shipped[ROUTES], listener, token),
        "prometheus.yaml": scrapes,
    }
    for name, config in written.items():
        (folder / name).write_text(yaml.safe_dump(config))


def _ready(port: int) -> bool:
    try:
        with closing(http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=1)) as connection:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == 200
    except OSError:
        return False
