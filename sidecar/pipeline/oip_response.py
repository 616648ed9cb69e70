"""A decision as a response of the Open Inference Protocol V2 (KServe, Triton, MLServer)."""

import msgspec
from msgspec import Struct

from sidecar.events import Decision


class OutputTensor(Struct, gc=False):
    """One output of a response: a single value."""

    name: str
    """`label`, `score` or `confidence`."""
    datatype: str
    """`BYTES`, which is text, for the label; `FP64` for the others."""
    shape: list[int]
    """Always `[1]`."""
    data: list[str | float]
    """The value, as the field of a decision that is named so."""


class DecisionParameters(Struct, omit_defaults=True, gc=False):
    """What a decision says besides its answer; each as the field of a decision named so."""

    event_id: str
    """What the producer calls the event."""
    event_time: str
    """RFC 3339, UTC, milliseconds."""
    source: str
    """`model`, `upstream`, `rule`, `cache` or `default`."""
    reason: str
    """Why that source: `confident`, `low_confidence`, ..."""
    rule: str | None = None
    """The fallback rule that fired, when `source` is `rule`."""
    flags: str | None = None
    """Quality faults that did not stop the decision, with commas between: a parameter of the
    protocol is no list."""


class InferenceResponse(Struct, gc=False):
    """One decision, the value of a record of the decisions topic with `output.format: oip`."""

    model_name: str
    model_version: str
    id: str
    """Of the decision: equal for every replay of the same record with the same version."""
    parameters: DecisionParameters
    """What the decision says besides its answer."""
    outputs: list[OutputTensor]
    """Label, score and confidence, in this order; one that the decision has not is left out."""


def response(decision: Decision) -> InferenceResponse:
    """Give a decision as a response.

    Args:
        decision: As it would be written itself.

    Returns:
        The same, so that equal decisions are equal responses.
    """
    numbers = (("score", decision.score), ("confidence", decision.confidence))
    outputs = [
        OutputTensor(n, "FP64", [1], [value]) for n, value in numbers if value is not None
    ]
    if decision.label is not None:
        outputs.insert(0, OutputTensor("label", "BYTES", [1], [decision.label]))
    return InferenceResponse(
        model_name=decision.model,
        model_version=decision.version,
        id=decision.id,
        parameters=DecisionParameters(
            event_id=decision.event_id,
            event_time=decision.event_time,
            source=decision.source,
            reason=decision.reason,
            rule=decision.rule,
            flags=None if decision.flags is None else ",".join(decision.flags),
        ),
        outputs=outputs,
    )


_encode = msgspec.json.Encoder().encode


def encode_response(decision: Decision) -> bytes:
    """Write a decision as a response, in JSON; equal decisions have equal bytes."""
    return _encode(response(decision))
