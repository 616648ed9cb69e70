"""Unit: app.service: how it judges the end of its work, and what a broken monitor may do."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest

from sidecar.app.service import Service
from sidecar.config.load import load_settings
from sidecar.errors import StalledError
from sidecar.monitors.drift import DriftMonitor
from sidecar.runtime.offsets import OffsetTracker
from sidecar.runtime.worker import Worker
from tests.fakes import FakeClock
from tests.virtual_time import run_virtually

Work = Callable[[], Coroutine[Any, Any, bool]]


class _Work:
    """Stands in for a worker: does what the test says, and stops when it likes."""

    def __init__(self, run: Work) -> None:
        self.run = run
        self.tracker = OffsetTracker()

    def stop(self) -> None:
        return None


def exit_code(service: Service, run: Work, *, stop: bool = False) -> tuple[int, float]:
    """Give the exit code of some work, and how long that took in virtual seconds."""

    async def main() -> tuple[int, float]:
        if stop:
            service.stop()
        code = await service._work(cast("Worker", _Work(run)))
        return code, asyncio.get_running_loop().time()

    return run_virtually(main())


@pytest.fixture
def service(credit_bundle: Path, tmp_path: Path) -> Service:
    tree = {
        "kafka": {"bootstrap_servers": ["127.0.0.1:1"]},
        "topics": {"events": "credit.events"},
        "model": {"bundle": str(credit_bundle)},
        "limits": {"shutdown": "25s"},
    }
    config = tmp_path / "sidecar.json"
    config.write_text(json.dumps(tree))
    return Service(load_settings(config, {}), clock=FakeClock())


@pytest.mark.parametrize(("clean", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_everything_has_an_outcome(
    service: Service, clean: bool, code: int
) -> None:
    async def work() -> bool:
        return clean

    assert exit_code(service, work) == (code, 0.0)


def test_a_fatal_error_of_one_task_is_an_exit_code_and_no_longer_live(service: Service) -> None:
    async def work() -> bool:
        raise ExceptionGroup("tasks", [StalledError("no record for 121 s")])

    assert exit_code(service, work)[0] == 1
    assert [cause.message for cause in service.live().causes] == ["no record for 121 s"]


def test_a_cancellation_that_a_client_let_out_is_an_exit_code_too(service: Service) -> None:
    async def work() -> bool:
        raise asyncio.CancelledError

    assert exit_code(service, work)[0] == 1


def test_work_that_ends_for_nothing_is_left_behind_in_time(service: Service) -> None:
    async def work() -> bool:
        try:
            await asyncio.sleep(3_600)
        finally:  # a client that does not let go
            await asyncio.sleep(3_600)
        return True

    code, took_s = exit_code(service, work, stop=True)

    assert (code, round(took_s)) == (1, 21)


def test_a_monitor_that_cannot_be_read_does_not_spoil_the_scrape(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def snapshot(_self: DriftMonitor) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(DriftMonitor, "snapshot", snapshot)

    async def scrape() -> str:
        return service.exposition("text/plain").write().decode()

    first, second = run_virtually(scrape()), run_virtually(scrape())

    assert 'sidecar_observer_active{observer="drift"} 0.0' in second
    assert "sidecar_records_received_total 0.0" in first
