"""Flow: every record becomes one decision, one dead letter, or a counted tombstone."""

import asyncio

from sidecar.errors import ScorerTimeoutError, ScorerUnavailableError
from tests.fakes import Stored
from tests.flows.harness import DECISIONS, EVENTS, LETTERS, POISON, running


def test_a_sure_model_answers() -> None:
    async def flow() -> None:
        async with running(threshold=0.8) as sidecar:
            sidecar.send_amounts(95.0, 2.0)
            await sidecar.drained()

        assert sidecar.answers() == {
            "e0": ("model", "confident", "approve"),
            "e1": ("model", "confident", "refuse"),
        }

    asyncio.run(flow())


def test_an_unsure_model_leaves_it_to_rule_then_default() -> None:
    rules = [{"name": "large", "when": {"amount": {"gt": 55}}, "label": "review"}]

    async def flow() -> None:
        fallback = {"rules": rules, "default": {"label": "wait"}}
        async with running(threshold=0.8, fallback=fallback) as sidecar:
            sidecar.send_amounts(60.0, 50.0)
            await sidecar.drained()

        assert sidecar.answers() == {
            "e0": ("rule", "low_confidence", "review"),
            "e1": ("default", "low_confidence", "wait"),
        }

    asyncio.run(flow())


def test_the_last_sure_answer_for_the_key_stands_in() -> None:
    async def flow() -> None:
        fallback = {"cache": {"max_age": "10m"}, "default": {"label": "wait"}}
        async with running(threshold=0.8, fallback=fallback) as sidecar:
            sidecar.send_amounts(95.0)
            await sidecar.drained()
            sidecar.send_amounts(50.0)
            sidecar.send({"id": "other", "features": {"amount": 50.0}}, key=b"other")
            await sidecar.drained()

        assert sidecar.answers() == {
            "e0": ("model", "confident", "approve"),
            "e1": ("cache", "low_confidence", "approve"),
            "other": ("default", "low_confidence", "wait"),
        }

    asyncio.run(flow())


def test_bad_records_become_dead_letters_and_neighbours_are_decided() -> None:
    bad = [b'{"id": "x", "features": {"amount"', b"", b"\x00\x00\x00\x00\x07{}", b'{"id": "x"}']

    async def flow() -> None:
        async with running() as sidecar:
            sidecar.send_amounts(95.0)
            sidecar.send(*bad)
            sidecar.send(None)
            sidecar.send_amounts(5.0)
            await sidecar.drained()

        assert [letter.value for letter in sidecar.letters()] == bad
        assert sidecar.codes() == [
            "malformed_json",
            "empty",
            "registry_prefix",
            "missing_field",
        ]
        assert set(sidecar.answers()) == {"e0", "e6"}
        assert sidecar.books() == (7.0, 7.0)
        assert sidecar.sample("sidecar_tombstones_total") == 1.0

    asyncio.run(flow())


def test_a_decision_keeps_the_key_and_the_partition() -> None:
    async def flow() -> None:
        async with running(partitions=3) as sidecar:
            for at in range(6):
                sidecar.send({"id": str(at), "features": {"amount": 90}}, key=b"k%d" % at)
            await sidecar.drained()

        keys = [[record.key for record in part] for part in sidecar.log.topics[DECISIONS]]
        assert keys == [[b"k0", b"k3"], [b"k1", b"k4"], [b"k2", b"k5"]]

    asyncio.run(flow())


def test_one_poisonous_row_takes_only_its_half_down() -> None:
    async def flow() -> None:
        async with running(fallback={"default": {"label": "wait"}}) as sidecar:
            sidecar.worker.flow.hold("test")
            sidecar.send_amounts(95.0, 94.0, POISON, 93.0)
            sidecar.worker.flow.release("test")
            await sidecar.drained()

        assert sidecar.answers() == {
            "e0": ("model", "confident", "approve"),
            "e1": ("model", "confident", "approve"),
            "e2": ("default", "model_error", "wait"),
            "e3": ("default", "model_error", "wait"),
        }
        assert sidecar.scorer.calls == [4, 2, 2]

    asyncio.run(flow())


def test_a_model_that_hangs_is_not_asked_twice() -> None:
    async def flow() -> None:
        async with running(fallback={"default": {"label": "wait"}}) as sidecar:
            sidecar.scorer.failure = ScorerTimeoutError("too slow")
            sidecar.send_amounts(95.0, 94.0)
            await sidecar.drained()

        assert set(sidecar.answers().values()) == {("default", "model_timeout", "wait")}
        assert sum(sidecar.scorer.calls) == 2

    asyncio.run(flow())


def test_the_circuit_opens_and_heals() -> None:
    async def flow() -> None:
        breaker = {"min_calls": 2, "probe_every": "50ms"}
        async with running(breaker=breaker, fallback={"default": {"label": "wait"}}) as sidecar:
            sidecar.scorer.failure = ScorerUnavailableError("down")
            for _ in range(3):
                sidecar.send_amounts(95.0)
                await sidecar.drained()
            asked = len(sidecar.scorer.calls)
            sidecar.scorer.failure = None
            await asyncio.sleep(0.06)
            sidecar.send_amounts(95.0)
            await sidecar.drained()

        reasons = [reason for _, reason, _ in sidecar.answers().values()]
        assert reasons == ["model_error", "model_error", "circuit_open", "confident"]
        assert asked == 2

    asyncio.run(flow())


def test_an_event_with_a_prediction_is_watched_and_not_scored() -> None:
    async def flow() -> None:
        event = {
            "id": "m",
            "features": {"amount": 10.0},
            "prediction": {"label": "approve", "score": 0.9},
        }
        async with running() as sidecar:
            sidecar.send(event)
            await sidecar.drained()

        (decision,) = sidecar.decisions()
        assert (decision["source"], decision["label"], decision["confidence"]) == (
            "upstream",
            "approve",
            0.9,
        )
        assert sidecar.scorer.calls == []

    asyncio.run(flow())


def test_deciding_again_gives_the_same_bytes() -> None:
    async def flow(amounts: tuple[float, ...]) -> list[bytes | None]:
        async with running() as sidecar:
            sidecar.send_amounts(*amounts)
            await sidecar.drained()
        return list(sidecar.log.values(DECISIONS))

    amounts = tuple(float(a) for a in range(50))
    assert asyncio.run(flow(amounts)) == asyncio.run(flow(amounts))


def test_a_record_that_cannot_be_read_becomes_a_dead_letter_stub() -> None:
    async def flow() -> None:
        async with running() as sidecar:
            sidecar.log.write(EVENTS, 0, Stored(readable=False))
            sidecar.sent += 1
            sidecar.send_amounts(95.0)
            await sidecar.drained()

        assert sidecar.codes() == ["unreadable_record"]
        assert set(sidecar.answers()) == {"e1"}
        assert sidecar.log.read(LETTERS)[0].key is None

    asyncio.run(flow())
