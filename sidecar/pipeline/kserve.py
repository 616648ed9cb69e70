"""What KServe's payload logger writes: the requests and responses of a model service.

Both are CloudEvents; a request and its response have one id. The bodies are of the Open
Inference Protocol V2, or of protocol V1 (`instances` and `predictions`), with one row. This
module reads single records; `pipeline.join` brings them together.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from sidecar.bundle.manifest import FeatureType, Manifest, Task
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import Headers, RejectCode, UpstreamPrediction
from sidecar.pipeline.formats import FormatReader
from sidecar.pipeline.oip import InputTensor, RequestReader, Scalar, fitted, one_row
from sidecar.pipeline.refusal import DECODER_ERRORS, RefusedError, refusal, refuse_size
from sidecar.pipeline.signature import WireData, wire_types

REQUEST_TYPE = "org.kubeflow.serving.inference.request"
RESPONSE_TYPE = "org.kubeflow.serving.inference.response"

_Row = list[tuple[Scalar, str]]
"""Values, each with its place in the record."""
_T = TypeVar("_T", bound=Struct)


class Logged(NamedTuple):
    """One record of the logger."""

    id: str
    """Of the call: equal for the request and its response."""
    time: datetime | None
    content: WireData | UpstreamPrediction
    """The features of a request, or what the model service said in a response."""


class _Response(Struct, gc=False):
    """The body of a response of V2."""

    outputs: list[InputTensor]
    model_version: str | None = None


class _Instances(Struct, gc=False):
    """The body of a request of V1."""

    instances: list[list[Scalar] | dict[str, Scalar]]


class _Predictions(Struct, gc=False):
    """The body of a response of V1."""

    predictions: list[Scalar | list[Scalar]]


class _Outline(Struct, gc=False):
    """What tells V1 from V2."""

    instances: msgspec.Raw = msgspec.Raw()
    predictions: msgspec.Raw = msgspec.Raw()


class LogReader:
    """Reads the log of a service that has the model of one bundle."""

    def __init__(
        self, manifest: Manifest, settings: InputSettings, limits: LimitSettings
    ) -> None:
        """Prepare the decoders.

        Args:
            manifest: The signature, and the labels that indices stand for.
            settings: Names of the outputs, and whether a required feature may be missing.
            limits: Largest and deepest value.
        """
        types = wire_types(manifest, missing_allowed=settings.on_missing != "reject")
        limited = [f.name for f in manifest.features if f.limits is not None]
        self._features = manifest.features
        self._max_bytes = limits.max_record_bytes.bytes
        self._formats = FormatReader("kserve", limits.max_depth)
        self._requests = RequestReader(manifest, types.data, limited)
        self._answers = _Answers(manifest, settings)

    def read(self, value: bytes, headers: Headers) -> Logged:
        """Read one record.

        Args:
            value: The record's value.
            headers: The record's headers.

        Raises:
            RefusedError: It is neither a request nor a response, or does not fit the model.
        """
        refuse_size(value, self._max_bytes)
        body, _, envelope, path = self._formats.read(value, headers)
        if envelope is None or envelope.type not in (REQUEST_TYPE, RESPONSE_TYPE):
            message = (
                f"the type of the CloudEvent is neither {REQUEST_TYPE} nor {RESPONSE_TYPE}"
            )
            raise RefusedError(RejectCode.UNSUPPORTED_FORMAT, message)
        outline = _decoded(_Outline, body, path)
        content: WireData | UpstreamPrediction
        if envelope.type == RESPONSE_TYPE:
            content = self._response(body, path, first=bool(outline.predictions))
        elif outline.instances:
            content = self._instances(_decoded(_Instances, body, path), f"{path}.instances")
        else:
            content = self._requests.read(body, path)[1]
        return Logged(envelope.id, envelope.time, content)

    def _instances(self, body: _Instances, path: str) -> WireData:
        """Read the features of V1: by name, or all of them in the order of the signature."""
        _refuse_rows(body.instances, path)
        said, path = body.instances[0], f"{path}[0]"
        names = [feature.name for feature in self._features]
        if isinstance(said, list):
            if len(said) != len(names):
                message = f"{len(said)} values, where the model has {len(names)} features"
                raise RefusedError(RejectCode.INVALID_TENSOR, message, path)
            places = {name: f"{path}[{at}]" for at, name in enumerate(names)}
            said = dict(zip(names, said, strict=True))
        else:
            places = {name: f"{path}.{name}" for name in names if name in said}
        kinds: Mapping[str, FeatureType] = {f.name: f.type for f in self._features}
        values = {name: fitted(said[name], kinds[name], at) for name, at in places.items()}
        return self._requests.data(values, places, path)

    def _response(self, body: bytes, path: str, *, first: bool) -> UpstreamPrediction:
        if first:
            said = _decoded(_Predictions, body, path).predictions
            return self._answers.of_prediction(said, f"{path}.predictions")
        response = _decoded(_Response, body, path)
        answer = self._answers.of_outputs(response.outputs, f"{path}.outputs")
        return msgspec.structs.replace(answer, version=response.model_version)


class _Answers:
    """Turns outputs into label and score."""

    def __init__(self, manifest: Manifest, settings: InputSettings) -> None:
        self._task = manifest.model.task
        self._labels = manifest.model.labels
        classes = manifest.model.classes or self._labels
        self._classes: dict[object, str] = dict(zip(classes, self._labels, strict=True))
        if not any(isinstance(name, int) for name in classes):
            self._classes |= enumerate(self._labels)
        self._label_outputs = settings.kserve.label_outputs
        self._score_outputs = settings.kserve.score_outputs

    def of_outputs(self, outputs: Sequence[InputTensor], path: str) -> UpstreamPrediction:
        """Read the tensors that the settings name; a single one may have any name."""
        places = {output.name: at for at, output in enumerate(outputs)}
        label = next((places[name] for name in self._label_outputs if name in places), None)
        scores = next((places[name] for name in self._score_outputs if name in places), None)
        if label is None and scores is None and len(outputs) == 1:
            floats = outputs[0].datatype in ("FP32", "FP64")
            label, scores = (None, 0) if floats else (0, None)
        if label is None and scores is None:
            message = "no output is named as `input.kserve` says"
            raise RefusedError(RejectCode.MISSING_FIELD, message, path)
        return self._answer(_row(outputs, label, path), _row(outputs, scores, path), path)

    def of_prediction(
        self, said: Sequence[Scalar | list[Scalar]], path: str
    ) -> UpstreamPrediction:
        """Read what V1 says: a list or a fraction is a score, everything else a label."""
        _refuse_rows(said, path)
        only, path = said[0], f"{path}[0]"
        if isinstance(only, list):
            scores = [(value, f"{path}[{at}]") for at, value in enumerate(only)]
            return self._answer(None, scores, path)
        if isinstance(only, float):
            return self._answer(None, [(only, path)], path)
        return self._answer([(only, path)], None, path)

    def _answer(self, label: _Row | None, scores: _Row | None, path: str) -> UpstreamPrediction:
        if self._task is Task.REGRESSION:
            value = label if scores is None else scores
            return UpstreamPrediction(score=_number(*_single(value or [], path)))
        chosen = None if label is None else self._label(*_single(label, path))
        if scores is None:
            return UpstreamPrediction(label=chosen)
        shares = [_number(value, place) for value, place in scores]
        if len(shares) == 1 and self._task is Task.BINARY:
            shares = [1.0 - shares[0], shares[0]]
        if len(shares) != len(self._labels):
            message = f"{len(shares)} scores, where the model has {len(self._labels)} labels"
            raise RefusedError(RejectCode.INVALID_TENSOR, message, path)
        chosen = self._labels[shares.index(max(shares))] if chosen is None else chosen
        if self._task is Task.BINARY:
            return UpstreamPrediction(label=chosen, score=shares[-1])
        of_chosen = shares[self._labels.index(chosen)] if chosen in self._labels else None
        return UpstreamPrediction(label=chosen, score=of_chosen)

    def _label(self, value: Scalar, place: str) -> str:
        """Give the label that a class or its index stands for; a text may be any label."""
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, bool) and value in self._classes:
            return self._classes[value]
        if isinstance(value, str):
            return value
        message = "is neither a label, nor a class of the model or its index"
        raise RefusedError(RejectCode.WRONG_TYPE, message, place)


def _decoded(kind: type[_T], body: bytes, path: str) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except DECODER_ERRORS as error:
        raise refusal(error, body, malformed=RejectCode.MALFORMED_JSON, root=path) from error


def _row(outputs: Sequence[InputTensor], at: int | None, path: str) -> _Row | None:
    if at is None:
        return None
    shape = outputs[at].shape
    return one_row(outputs[at], shape[-1] if len(shape) > 1 else 1, f"{path}[{at}]")


def _refuse_rows(rows: Sequence[Any], path: str) -> None:
    if len(rows) != 1:
        message = f"{len(rows)} rows; a call with one row is one event"
        raise RefusedError(RejectCode.NOT_ONE_ROW, message, path)


def _single(row: _Row, path: str) -> tuple[Scalar, str]:
    if len(row) != 1:
        message = f"{len(row)} values, where one is expected"
        raise RefusedError(RejectCode.INVALID_TENSOR, message, path)
    return row[0]


def _number(value: Scalar, place: str) -> float:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        message = "too large for a number"
        raise RefusedError(RejectCode.NUMBER_OUT_OF_RANGE, message, place) from None
    raise RefusedError(RejectCode.WRONG_TYPE, "a score is a number", place)
