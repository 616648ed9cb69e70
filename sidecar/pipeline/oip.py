"""Open Inference Protocol V2 (KServe, Triton, MLServer) in JSON: a request as an event.

A request holds tensors, an event holds named features; each record is one event, so a tensor
has one row. What a value may be is said by the bundle's wire types alone: a request is turned
into what a bare event would hold, and goes through them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Raw, Struct

from sidecar.bundle.manifest import Feature, FeatureType, Manifest
from sidecar.events import RejectCode
from sidecar.pipeline.refusal import DECODER_ERRORS, RefusedError, refusal
from sidecar.pipeline.signature import WireData

Scalar = bool | int | float | str | None


class InputTensor(Struct, gc=False):
    """One input of a request, with one row."""

    name: str
    """Name of a feature, or of an input of the model that takes several features."""
    shape: list[Annotated[int, Meta(ge=0)]]
    """`[1]` or `[1, 1]` for a feature, `[1, n]` for n features; the first may be left out."""
    datatype: str
    """`BOOL`, `INT8` to `INT64`, `UINT8` to `UINT64`, `FP32`, `FP64`, or `BYTES` for text."""
    data: list[Scalar | list[Scalar]]
    """The values, flat or nested as the shape says; null is a missing value."""


class InferenceRequest(Struct, gc=False):
    """A request of the Open Inference Protocol V2, the value of a record of the events topic.

    The `features` of the event are its tensors: one for each feature, or one for all numeric
    features in the order of the model's signature. Fields that are not listed are ignored.
    """

    inputs: list[InputTensor]
    """One row of tensors; those that the model has no feature for are ignored."""
    id: str | None = None
    """What the producer calls the event. Needed, but in a CloudEvent, whose own id counts."""


class _Outline(Struct, gc=False):
    """What tells a request from an event."""

    inputs: Raw = Raw()
    features: Raw = Raw()


class _Datatype(NamedTuple):
    """What a datatype holds."""

    holds: tuple[type, ...]
    words: str
    lowest: int = 0
    highest: int = 0


_FLOATING = _Datatype((int, float), "a number")
_TEXT = _Datatype((str,), "text")
_TRUTH = _Datatype((bool,), "true or false")
_WHOLE = {
    f"{sign}INT{bits}": _Datatype((int,), "a whole number", low, high)
    for bits in (8, 16, 32, 64)
    for sign, low, high in (
        ("", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        ("U", 0, 2**bits - 1),
    )
}
_DATATYPES = {
    "BOOL": _TRUTH, "BYTES": _TEXT, "FP32": _FLOATING, "FP64": _FLOATING, **_WHOLE
}  # fmt: skip
DATATYPES = tuple(_DATATYPES)
"""The datatypes that have a form in JSON."""

# A tensor of several features has one datatype for all, so there a number may stand for what a
# tensor of its own would say exactly.
_NUMBERS = {_FLOATING, *_WHOLE.values()}
_ALONE: Mapping[FeatureType, set[_Datatype]] = {
    FeatureType.FLOAT: _NUMBERS,
    FeatureType.INTEGER: set(_WHOLE.values()),
    FeatureType.BOOLEAN: {_TRUTH},
    FeatureType.STRING: {_TEXT},
}
_TOGETHER: Mapping[FeatureType, set[_Datatype]] = {
    **_ALONE,
    FeatureType.INTEGER: _NUMBERS,
    FeatureType.BOOLEAN: {_TRUTH, *_NUMBERS},
}


def is_request(value: bytes) -> bool:
    """Whether JSON that is no event is a request: it has `inputs` and no `features`."""
    try:
        outline = _outline(value)
    except DECODER_ERRORS:
        return False
    return not outline.features and bytes(memoryview(outline.inputs)[:1]) == b"["


class RequestReader:
    """Reads the requests of one bundle."""

    def __init__(
        self, manifest: Manifest, data_type: type[WireData], limited: Iterable[str]
    ) -> None:
        """Note which tensor brings which features.

        Args:
            manifest: Features, and the inputs of the graph.
            data_type: What the features of an event are decoded into.
            limited: Features that have limits of their own.
        """
        features = {feature.name: feature for feature in manifest.features}
        self._features = features
        self._inputs = {
            port.name: [features[name] for name in port.features]
            for port in manifest.model.inputs
            if port.name not in features
        }
        self._numeric = [f for f in manifest.features if f.type is not FeatureType.STRING]
        self._data_type = data_type
        self._limited = frozenset(limited)
        self._decode = msgspec.json.Decoder(InferenceRequest).decode

    def read(self, body: bytes, path: str = "$") -> tuple[str | None, WireData]:
        """Give the id of a request, and the data that an event with its features has.

        Args:
            body: JSON, no deeper than allowed.
            path: Where it stands in the record.

        Raises:
            RefusedError: It is no request, or not of one row, or not of this model.
        """
        try:
            request = self._decode(body)
        except DECODER_ERRORS as error:
            raise refusal(
                error, body, malformed=RejectCode.MALFORMED_JSON, root=path
            ) from error
        values: dict[str, Scalar] = {}
        places: dict[str, str] = {}
        inputs = f"{path}.inputs"
        known = list(self._known(request.inputs, inputs))
        if request.inputs and not known:
            raise _invalid("no tensor is named as a feature or an input of the model", inputs)
        for tensor, features, place in known:
            for name, value, at in _row(tensor, features, place):
                if name in places:
                    raise _invalid("a feature has its value in a tensor before", place)
                values[name], places[name] = value, at
        return request.id, self.data(values, places, inputs)

    def _known(
        self, tensors: Sequence[InputTensor], path: str
    ) -> Iterator[tuple[InputTensor, Sequence[Feature], str]]:
        """Give the tensors that the model has features for, with these and their places."""
        for at, tensor in enumerate(tensors):
            features: Sequence[Feature] = self._inputs.get(tensor.name, ())
            if tensor.name in self._features:
                features = [self._features[tensor.name]]
            elif not features and len(tensors) == 1 and _width(tensor) == len(self._numeric):
                features = self._numeric
            if features:
                yield tensor, features, f"{path}[{at}]"

    def data(
        self, values: Mapping[str, Scalar], places: Mapping[str, str], path: str
    ) -> WireData:
        """Put values through the wire types.

        Args:
            values: By feature.
            places: Where they stand in the record.
            path: Where they all stand.

        Raises:
            RefusedError: One does not fit, or a required one is missing.
        """
        try:
            return msgspec.convert({"features": values}, self._data_type)
        except DECODER_ERRORS as error:
            fault = refusal(
                error, b"", malformed=RejectCode.MALFORMED_JSON, limited=self._limited
            )
            name = fault.path.removeprefix("$.features.")
            message = fault.message
            if name not in places:
                message = f"the required feature `{name}` is not there"
            raise RefusedError(fault.code, message, places.get(name, path)) from error


_outline = msgspec.json.Decoder(_Outline).decode


def _width(tensor: InputTensor) -> int:
    """Give the values of one row as the shape says it; 1 where there is none."""
    return tensor.shape[-1] if tensor.shape else 1


def _row(
    tensor: InputTensor, features: Sequence[Feature], path: str
) -> Iterator[tuple[str, Scalar, str]]:
    """Give the one row of a tensor: by feature its value, and where that stands.

    Raises:
        RefusedError: The tensor contradicts itself or its features.
    """
    alone = len(features) == 1 and tensor.name == features[0].name
    row = one_row(tensor, len(features), path)
    allowed = _ALONE if alone else _TOGETHER
    for feature, (value, at) in zip(features, row, strict=True):
        place = f"{path}.data" if alone else at
        if _DATATYPES[tensor.datatype] not in allowed[feature.type]:
            message = f"the feature `{feature.name}` is {feature.type}, not {tensor.datatype}"
            raise RefusedError(RejectCode.WRONG_TYPE, message, f"{path}.datatype")
        _check_value(value, tensor.datatype, place)
        yield feature.name, fitted(value, feature.type, place), place


def one_row(tensor: InputTensor, width: int, path: str) -> list[tuple[Scalar, str]]:
    """Give the values of a tensor that has one row, each with its place.

    Raises:
        RefusedError: The tensor has not one row of so many values, or contradicts itself.
    """
    if tensor.datatype not in _DATATYPES:
        known = ", ".join(DATATYPES)
        message = f"a datatype that has no form in JSON; read are {known}"
        raise RefusedError(RejectCode.UNSUPPORTED_FORMAT, message, f"{path}.datatype")
    _check_shape(tensor.shape, width, f"{path}.shape")
    values, place = _flat(tensor, f"{path}.data")
    return [(value, f"{place}[{at}]") for at, value in enumerate(values)]


def _check_shape(shape: Sequence[int], width: int, path: str) -> None:
    """Refuse a shape that is not that of one row of so many values."""
    rows = 1
    match shape:
        case [only] if width == 1:
            rows = only
        case [first, _]:
            rows = first
        case [] | [_]:
            pass
        case _:
            raise _invalid("more than two dimensions; a row of values has one or two", path)
    if rows != 1:
        message = "a record is one event, so the first dimension is 1; send a record per row"
        raise RefusedError(RejectCode.NOT_ONE_ROW, message, f"{path}[0]")
    if (said := shape[-1] if shape else 1) != width:
        raise _invalid(f"{said} values, where the model takes {width} in this tensor", path)


def _flat(tensor: InputTensor, path: str) -> tuple[Sequence[Any], str]:
    """Give the values of a tensor of one row, and the path of the list that they are in."""
    data, width = tensor.data, _width(tensor)
    nested = [isinstance(each, list) for each in data]
    if not any(nested):
        values: Sequence[Any] = data
    elif len(data) == 1 and len(tensor.shape) == 2:
        values, path = data[0], f"{path}[0]"  # type: ignore[assignment]
    else:
        raise _invalid("the values are not nested as the shape says", path)
    if len(values) != width:
        raise _invalid(f"{len(values)} values, where the shape says {width}", path)
    return values, path


def _check_value(value: Scalar, name: str, path: str) -> None:
    """Refuse a value that the datatype of its tensor cannot hold; null is always allowed."""
    datatype = _DATATYPES[name]
    if value is None:
        return
    if type(value) not in datatype.holds:
        raise RefusedError(RejectCode.WRONG_TYPE, f"{name} holds {datatype.words}", path)
    if datatype.highest and not datatype.lowest <= value <= datatype.highest:  # type: ignore[operator]
        message = f"{name} holds {datatype.lowest} to {datatype.highest}"
        raise RefusedError(RejectCode.NUMBER_OUT_OF_RANGE, message, path)


def fitted(value: Scalar, kind: FeatureType, path: str) -> Scalar:
    """Give a number as the type of its feature, which a tensor of several cannot have."""
    fit = _FITTING.get(kind)
    if fit is None or not isinstance(value, int | float):
        return value
    if (whole := fit(value)) is None:
        words = "a whole number" if kind is FeatureType.INTEGER else "0 or 1"
        raise RefusedError(RejectCode.WRONG_TYPE, f"this feature takes {words}", path)
    return whole


_FITTING: Mapping[FeatureType, Callable[[float], int | None]] = {
    FeatureType.INTEGER: lambda number: (
        number if isinstance(number, int) else int(number) if number.is_integer() else None
    ),
    FeatureType.BOOLEAN: lambda number: bool(number) if number in (0, 1) else None,
}


def _invalid(message: str, path: str) -> RefusedError:
    return RefusedError(RejectCode.INVALID_TENSOR, message, path)
