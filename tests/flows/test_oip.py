"""Flow: requests of the Open Inference Protocol in, responses out."""

import asyncio

from tests.event_samples import tensor
from tests.flows.harness import DECISIONS, running


def test_requests_become_responses_beside_events_and_dead_letters() -> None:
    async def flow() -> None:
        async with running(output={"format": "oip"}) as sidecar:
            sidecar.send_amounts(95.0)
            for name, amount in (("amount", 95.0), ("X", 95.0), ("input-0", 95.0)):
                said = tensor(name, "FP32", [amount], shape=(1, 1))
                sidecar.send({"id": name, "inputs": [said]}, key=name.encode())
            sidecar.send({"id": "two", "inputs": [tensor("X", "FP32", 1, 2, shape=(2, 1))]})
            sidecar.send({"id": "half", "inputs": [tensor("X", "FP16", 1)]})
            await sidecar.drained()

        decisions = sidecar.decisions()
        ids = [each["parameters"]["event_id"] for each in decisions]
        assert ids == ["e0", "amount", "X", "input-0"]
        outputs = [each["outputs"] for each in decisions]
        assert outputs == [outputs[0]] * 4
        assert outputs[0] == [
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["approve"]},
            {"name": "score", "datatype": "FP64", "shape": [1], "data": [0.95]},
            {"name": "confidence", "datatype": "FP64", "shape": [1], "data": [0.95]},
        ]
        assert [each.key for each in sidecar.log.read(DECISIONS)][1:] == [
            b"amount",
            b"X",
            b"input-0",
        ]
        assert sidecar.codes() == ["not_one_row", "unsupported_format"]
        assert sidecar.books() == (6.0, 6.0)

    asyncio.run(flow())
