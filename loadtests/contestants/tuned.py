"""The yardstick: the fastest loop around the same model that we know how to write in Python.

It has no fallback, no dead letters, no drift and no metrics; an event that it cannot decode
ends it. Each trick is there because it was measured to pay: Structs that the garbage collector
does not track, one array from all features at once, one model call per round.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from loadtests.contestants.loop import run
from loadtests.data import FEATURES

Features = msgspec.defstruct("Features", [(name, float | None) for name in FEATURES], gc=False)


class Event(msgspec.Struct, gc=False):
    """What is read."""

    id: str
    time: str
    features: Features  # type: ignore[valid-type]


class Decision(msgspec.Struct, gc=False):
    """What is written: the fields that the sidecar writes."""

    id: str
    event_id: str
    event_time: str
    model: str
    version: str
    source: str
    reason: str
    label: str
    score: float
    confidence: float


class Tuned:
    """Decode, columns, model, encode."""

    def __init__(self) -> None:
        """Load the model."""
        options = SessionOptions()
        options.intra_op_num_threads = 1
        self._session = InferenceSession(os.environ["BENCH_MODEL"], options)
        self._thread = ThreadPoolExecutor(1)
        self._decode = msgspec.json.Decoder(Event).decode
        self._encode = msgspec.json.Encoder().encode
        self._labels = ("default", "repaid")

    async def work(self, records: Sequence[Any]) -> Iterable[bytes]:
        """Give a decision for each record."""
        events = [self._decode(record.value) for record in records]
        matrix = np.fromiter(
            chain.from_iterable(msgspec.structs.astuple(event.features) for event in events),
            np.float32,
            len(events) * len(FEATURES),
        ).reshape(len(events), -1)
        loop = asyncio.get_running_loop()
        probabilities = await loop.run_in_executor(self._thread, self._score, matrix)
        return self._encoded(records, events, probabilities)

    def _score(self, matrix: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        outputs: list[np.ndarray[Any, Any]] = self._session.run(
            ["probabilities"], {"features": matrix}
        )
        return outputs[0]

    def _encoded(
        self,
        records: Sequence[Any],
        events: Sequence[Event],
        probabilities: "np.ndarray[Any, Any]",
    ) -> Iterable[bytes]:
        chosen = probabilities.argmax(axis=1)
        sure = probabilities.max(axis=1)
        columns = zip(
            records,
            events,
            chosen.tolist(),
            probabilities[:, 1].tolist(),
            sure.tolist(),
            strict=True,
        )
        for record, event, label, score, confidence in columns:
            yield self._encode(
                Decision(
                    f"{record.partition}-{record.offset}",
                    event.id,
                    event.time,
                    "bench",
                    "1",
                    "model",
                    "confident",
                    self._labels[label],
                    score,
                    confidence,
                )
            )


if __name__ == "__main__":
    run(Tuned().work)
