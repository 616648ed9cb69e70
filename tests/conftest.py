"""Brokers for the suites that need one, and tests that are coroutines."""

import asyncio
import inspect
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from sidecar.demo.broker import EmbeddedBroker
from tests.brokers.kafka import CannotRunError, KafkaBroker
from tests.brokers.secure import SecureBroker, secure_broker

# Longest run of one coroutine test; the time limit of pytest is for those that block.
_COROUTINE_S = 50.0
# Longest wait for the other side of a connection when a test has ended.
_HANG_UP_S = 2.0
# The first test on a real broker also fetches, formats and starts it.
_KAFKA_S = 180.0
# The first test of what Kubernetes takes also builds the tools.
_KUBERNETES_S = 900.0

# No time limit per example: it would fail on a busy machine, and says nothing of the law. CI
# draws the same examples each time, so that a red build is the fault of its change; the
# others draw new ones, `thorough` many.
_CALM = (HealthCheck.too_slow,)
settings.register_profile(
    "quick", deadline=None, derandomize="CI" in os.environ, suppress_health_check=_CALM
)
settings.register_profile(
    "thorough", deadline=None, max_examples=2_000, suppress_health_check=_CALM
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, seconds in (("kafka", _KAFKA_S), ("kubernetes", _KUBERNETES_S)):
            if item.get_closest_marker(marker) and not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(seconds))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine in an event loop of its own, for so long and no longer."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}

    async def bounded() -> None:
        async with asyncio.timeout(_COROUTINE_S):
            await pyfuncitem.obj(**arguments)
            await _hung_up()

    asyncio.run(bounded())
    return True


async def _hung_up() -> None:
    """Wait for connections that are closing.

    With TLS that takes an answer of the other side, for which the client's `close` does not
    wait, and a loop that ends before leaves the transport open.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _HANG_UP_S
    while any(map(_is_open, _transports(loop))):
        if loop.time() > until:
            return
        await asyncio.sleep(0.01)


def _transports(loop: asyncio.AbstractEventLoop) -> list[asyncio.Transport]:
    # Kept by the selector loops of the standard library; others have none of this trouble.
    return list(getattr(loop, "_transports", {}).values())


def _is_open(transport: asyncio.Transport) -> bool:
    return getattr(transport, "_sock", None) is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test that is skipped fail where everything is meant to run."""
    report = yield
    if report.skipped and "CI" in os.environ:
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"skipped where all is meant to run: {reason}"
    return report


@pytest.fixture
def mock_broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A real broker for the whole session; whoever stops it starts it again."""
    try:
        broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    except CannotRunError as reason:
        pytest.skip(str(reason))
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def secure_kafka(secure_kafka_of_session: SecureBroker) -> Iterator[SecureBroker]:
    """A real broker with TLS and SASL, whose stranger may do nothing until a test says so."""
    try:
        yield secure_kafka_of_session
    finally:
        secure_kafka_of_session.withdraw_all()


@pytest.fixture(scope="session")
def secure_kafka_of_session(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SecureBroker]:
    try:
        secure = secure_broker(tmp_path_factory.mktemp("secure-kafka"))
    except CannotRunError as reason:
        pytest.skip(str(reason))
    try:
        secure.broker.start()
        yield secure
    finally:
        secure.broker.stop()
