"""Flow: quality is counted from bytes to bands, outlasts restarts and touches no decision."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sidecar.errors import ScorerUnavailableError
from sidecar.events import DecisionBatch, Rejection
from sidecar.monitors.quality import QualityMonitor
from sidecar.monitors.quality_snapshot import Agreement, QualityRatio, QualityWindow
from tests.fakes import MemoryLog, MemorySource
from tests.flows.harness import (
    DECISIONS,
    EVENTS,
    LETTERS,
    MANIFEST,
    STATE,
    Sidecar,
    reference,
    running,
    settings,
    written,
)

TOPICS = (DECISIONS, LETTERS, STATE)
WRONG = b'{"id": "w", "features": {"amount": "much"}}'


def window(sidecar: Sidecar) -> QualityWindow:
    return sidecar.quality.snapshot(sidecar.drift.snapshot()).windows[-1]


def ratio(sidecar: Sidecar, check: str, feature: str = "") -> QualityRatio:
    ratios = window(sidecar).ratios
    return next(r for r in ratios if (r.check, r.feature) == (check, feature))


def predicted(at: int, amount: float, label: str) -> dict[str, Any]:
    return {"id": f"p{at}", "features": {"amount": amount}, "prediction": {"label": label}}


def test_a_bad_release_of_a_producer_leaves_the_bands() -> None:
    async def flow() -> None:
        async with running(limits={"dead_letter_share": 1}) as sidecar:
            sidecar.send_amounts(*[float(at % 100) for at in range(300)])
            await sidecar.drained()
            before = window(sidecar).breached
            sidecar.send(*[WRONG] * 60)
            sidecar.send(*[{"id": "same", "features": {"amount": 170.0}}] * 60)
            await sidecar.drained()

        assert before == ()
        assert {(r.check, r.feature) for r in window(sidecar).breached} == {
            ("rejected", ""),
            ("fault", "amount"),
            ("duplicate", ""),
            ("out_of_range", "amount"),
        }
        assert window(sidecar).faults == {"amount": {"wrong_type": 60}}
        assert ratio(sidecar, "duplicate").ratio == 59 / 360

    asyncio.run(flow())


def test_counts_outlast_a_restart_and_show_all_partitions() -> None:
    async def flow() -> None:
        log = written(MemoryLog(), 2, TOPICS)
        async with running(source=MemorySource(log, EVENTS), topics=TOPICS, state="one") as one:
            one.send_amounts(*range(50))
            one.send(*[WRONG] * 10)
            await one.drained()
            await one.until(lambda: log.committed == {(EVENTS, 0): 30, (EVENTS, 1): 30})
        async with running(source=MemorySource(log, EVENTS), topics=TOPICS, state="two") as two:
            await two.until(lambda: window(two).records == 60)
            two.sent = 60
            two.send(*[WRONG] * 4)
            await two.drained()

        assert window(two).rejections == {"wrong_type": 14}
        assert window(two).records == 64
        assert two.sample("sidecar_state_restores_total") == 2

    asyncio.run(flow())


class _Failing(QualityMonitor):
    """Raises with the second batch."""

    def observe(self, decisions: DecisionBatch, rejections: Sequence[Rejection]) -> None:
        if self.windows.partitions:
            raise RuntimeError("a bug")
        super().observe(decisions, rejections)


def test_a_quality_monitor_that_raises_is_switched_off_and_changes_no_output_byte() -> None:
    async def flow(*observers: QualityMonitor) -> tuple[list[bytes | None], Sidecar]:
        async with running(observers=observers) as sidecar:
            for start in (0, 20):
                sidecar.send_amounts(*range(start, start + 20))
                sidecar.send(WRONG)
                await sidecar.drained()
        outputs = [*sidecar.log.values(DECISIONS), *sidecar.log.values(LETTERS)]
        return outputs, sidecar

    plain, _ = asyncio.run(flow())
    failing = _Failing(MANIFEST, reference(), settings().monitors)
    failing.name = "failing"
    watched, sidecar = asyncio.run(flow(failing))

    assert watched == plain
    assert len(plain) == 42
    assert sidecar.sample("sidecar_observer_active", observer="failing") == 0
    assert sidecar.sample("sidecar_observer_active", observer="quality") == 1


def test_the_shadow_of_a_prediction_is_compared_and_changes_no_output_byte() -> None:
    async def flow(*, shadow: bool, broken: bool = False) -> tuple[list[bytes | None], Sidecar]:
        async with running(model={"bundle": "unused", "shadow": shadow}) as sidecar:
            if broken:
                sidecar.scorer.failure = ScorerUnavailableError("away")
            amounts = [10.0, 40.0, 60.0, 90.0]
            labels = ["refuse", "approve", "approve", "elsewhere"]
            predictions = zip(range(4), amounts, labels, strict=True)
            sidecar.send(*(predicted(*prediction) for prediction in predictions))
            await sidecar.drained()
        return list(sidecar.log.values(DECISIONS)), sidecar

    plain, without = asyncio.run(flow(shadow=False))
    outputs, sidecar = asyncio.run(flow(shadow=True))
    failed, blind = asyncio.run(flow(shadow=True, broken=True))

    assert outputs == plain == failed
    assert (sum(without.scorer.calls), sum(sidecar.scorer.calls)) == (0, 4)
    assert window(sidecar).agreement == (
        Agreement(label="", compared=4, agreed=2),
        Agreement(label="refuse", compared=1, agreed=1),
        Agreement(label="approve", compared=2, agreed=1),
    )
    assert window(blind).agreement[0] == Agreement(label="", compared=0, agreed=0)
    assert window(without).agreement == ()


def test_a_shadow_that_fails_opens_no_circuit_for_the_others() -> None:
    async def flow() -> None:
        model = {"bundle": "unused", "shadow": True}
        async with running(model=model, breaker={"min_calls": 1}) as sidecar:
            sidecar.scorer.failure = ScorerUnavailableError("away")
            sidecar.send(*(predicted(at, 10.0, "refuse") for at in range(5)))
            await sidecar.drained()
            sidecar.scorer.failure = None
            sidecar.send_amounts(30.0)
            await sidecar.drained()

        assert sidecar.answers()["e5"][:2] == ("model", "confident")

    asyncio.run(flow())


def test_the_decisions_of_a_window_are_shared_out_by_rule() -> None:
    async def flow() -> None:
        rules = [{"name": "small", "when": {"amount": {"lt": 45}}, "label": "refuse"}]
        fallback = {"rules": rules, "default": {"label": "review"}}
        async with running(threshold=0.7, fallback=fallback) as sidecar:
            sidecar.send_amounts(*range(100))
            await sidecar.drained()

        fallen = ratio(sidecar, "fallback")
        shares = {(d.source, d.reason): d.records for d in window(sidecar).decisions}
        small = sum(r.records for r in window(sidecar).rules)
        assert shares[("rule", "low_confidence")] == small == 14
        assert fallen.ratio == sum(n for (by, _), n in shares.items() if by != "model") / 100

    asyncio.run(flow())
