"""The work that every loop in Python does: an event to a decision, in batches or one by one.

It needs msgspec, numpy and onnxruntime and nothing else, so it runs in each tool's environment.
"""

import json
import os
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from loadtests.data import FEATURES

LABELS = ("default", "repaid")

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


def _session() -> InferenceSession:
    options = SessionOptions()
    options.intra_op_num_threads = 1
    return InferenceSession(os.environ["BENCH_MODEL"], options)


class Batches:
    """Many events at a time: Structs, one array for all features, one call of the model."""

    def __init__(self) -> None:
        """Load the model."""
        self._session = _session()
        self.decode = msgspec.json.Decoder(Event).decode
        """Decodes one event; one that cannot be decoded ends the program."""
        self._encode = msgspec.json.Encoder().encode

    def matrix(self, events: Sequence[Event]) -> "np.ndarray[Any, Any]":
        """Give the features of events, a row each."""
        flat = chain.from_iterable(msgspec.structs.astuple(event.features) for event in events)
        return np.fromiter(flat, np.float32, len(events) * len(FEATURES)).reshape(
            len(events), -1
        )

    def score(self, matrix: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Give the probability of each label."""
        outputs: list[np.ndarray[Any, Any]] = self._session.run(
            ["probabilities"], {"features": matrix}
        )
        return outputs[0]

    def encode(
        self,
        ids: Iterable[str],
        events: Sequence[Event],
        probabilities: "np.ndarray[Any, Any]",
    ) -> Iterable[bytes]:
        """Encode the decision of each event."""
        chosen = probabilities.argmax(axis=1)
        sure = probabilities.max(axis=1)
        columns = zip(
            ids,
            events,
            chosen.tolist(),
            probabilities[:, 1].tolist(),
            sure.tolist(),
            strict=True,
        )
        for name, event, label, score, confidence in columns:
            yield self._encode(
                Decision(
                    name,
                    event.id,
                    event.time,
                    "bench",
                    "1",
                    "model",
                    "confident",
                    LABELS[label],
                    score,
                    confidence,
                )
            )

    def answer(self, values: Sequence[bytes], ids: Iterable[str]) -> Iterable[bytes]:
        """Do all of it."""
        events = list(map(self.decode, values))
        return self.encode(ids, events, self.score(self.matrix(events)))


class Singles:
    """One event at a time, as the first example of most tools has it: a dict in, a dict out."""

    def __init__(self) -> None:
        """Load the model."""
        self._session = _session()

    def answer(self, event: dict[str, Any]) -> dict[str, Any]:
        """Give the decision of a decoded event; its id is that of the event."""
        row = np.array([[event["features"][name] for name in FEATURES]], np.float32)
        scores = self._session.run(["probabilities"], {"features": row})[0][0]
        chosen = int(scores.argmax())
        return {
            "id": event["id"],
            "event_id": event["id"],
            "event_time": event["time"],
            "model": "bench",
            "version": "1",
            "source": "model",
            "reason": "confident",
            "label": LABELS[chosen],
            "score": float(scores[1]),
            "confidence": float(scores[chosen]),
        }

    def answer_bytes(self, value: bytes) -> bytes:
        """Do the same from JSON to JSON."""
        return json.dumps(self.answer(json.loads(value))).encode()
