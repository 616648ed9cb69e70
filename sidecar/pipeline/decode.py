"""From the bytes of records to the columns of events. The only stage that sees single events.

Whatever the bytes are, each record becomes an event, a rejection or a tombstone, and a bad one
does not touch its neighbours.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from sidecar.bundle.manifest import Manifest
from sidecar.config.settings import InputSettings, LimitSettings
from sidecar.events import (
    Decoded,
    Headers,
    RecordBatch,
    RejectCode,
    Rejection,
    Stage,
    UpstreamPrediction,
)
from sidecar.pipeline.columns import EventColumns, FeatureColumns
from sidecar.pipeline.depth import USUAL_DEPTH, are_usual_json, is_usual_json, json_too_deep
from sidecar.pipeline.formats import Encoding, Envelope, FormatReader
from sidecar.pipeline.framing import NO_SCHEMAS
from sidecar.pipeline.oip import RequestReader, is_request
from sidecar.pipeline.refusal import DECODER_ERRORS, RefusedError, refusal, refuse_size
from sidecar.pipeline.registered import (
    MALFORMED_PAYLOAD,
    read_payload,
    refusal_of_unread,
    unframed,
)
from sidecar.pipeline.signature import WireData, WireEvent, wire_types
from sidecar.ports import PayloadReader, Schemas

_MALFORMED: dict[Encoding, RejectCode] = {
    "json": RejectCode.MALFORMED_JSON,
    "msgpack": RejectCode.MALFORMED_MSGPACK,
}

# An event takes a kilobyte of objects. So few at a time are still in the processor's cache when
# they become columns; 4,096 are not, and cost a quarter more.
_BLOCK_RECORDS = 512

UNREADABLE = (
    Stage.DECODE,
    RejectCode.UNREADABLE_RECORD,
    "the record is there and cannot be read: it is damaged, or larger than one fetch",
)


class EventDecoder:
    """Decodes the events of one bundle."""

    def __init__(
        self, manifest: Manifest, settings: InputSettings, limits: LimitSettings
    ) -> None:
        """Build the wire types and keep one decoder for each.

        Args:
            manifest: The signature, and the name that events may address.
            settings: The format, and whether a required feature may be missing.
            limits: Largest and deepest value.
        """
        types = wire_types(manifest, missing_allowed=settings.on_missing != "reject")
        self._event_type, self._data_type = types
        self._event_json = msgspec.json.Decoder(types.event)
        self._event_decoders: dict[Encoding, Callable[[bytes], WireEvent]] = {
            "json": self._event_json.decode,
            "msgpack": msgspec.msgpack.Decoder(types.event).decode,
        }
        self._data_decoders: dict[Encoding, Callable[[bytes], WireData]] = {
            "json": msgspec.json.Decoder(types.data).decode,
            "msgpack": msgspec.msgpack.Decoder(types.data).decode,
        }
        self._model = manifest.name
        self._limited = frozenset(f.name for f in manifest.features if f.limits is not None)
        self._formats = FormatReader(settings.format, limits.max_depth)
        self._requests = RequestReader(manifest, types.data, self._limited)
        self._requests_alone = settings.format == "oip"
        self._may_be_request = settings.format in ("auto", "cloudevents")
        self._columns = FeatureColumns(manifest.features)
        self._max_depth = limits.max_depth
        self._max_bytes = limits.max_record_bytes.bytes
        self._headers_count = settings.format == "auto"
        self._bare_json = (
            settings.format in ("auto", "json") and limits.max_depth >= USUAL_DEPTH
        )

    def decode(self, records: RecordBatch, schemas: Schemas = NO_SCHEMAS) -> Decoded:
        """Turn records into events.

        Args:
            records: One poll slice.
            schemas: Those that its records name, of the registry; what is not among them
                is refused.

        Returns:
            The events in the order of their records, a rejection for each record that is none,
            and the number of tombstones.
        """
        rejections: list[Rejection] = []
        decoded = EventColumns()
        for start in range(0, max(1, len(records)), _BLOCK_RECORDS):
            rows, events = self._block(records, schemas, start, rejections)
            decoded.rows += rows
            decoded.ids += [event.id for event in events]
            decoded.times += [event.time for event in events]
            decoded.upstream += [event.prediction for event in events]
            decoded.features.append(self._columns.build([event.features for event in events]))
        rejections += [Rejection(row, *UNREADABLE) for row in records.unreadable]
        tombstones = len(records) - len(decoded.rows) - len(rejections)
        return Decoded(decoded.batch(records), rejections, tombstones)

    def _block(
        self,
        records: RecordBatch,
        schemas: Schemas,
        start: int,
        rejections: list[Rejection],
    ) -> tuple[list[int], list[WireEvent]]:
        """Decode one block; give the events with their rows, and add what is refused."""
        block = range(start, min(start + _BLOCK_RECORDS, len(records)))
        rows, events = self._usual_events(records, block)
        if len(rows) == len(block):
            return rows, events
        found = dict(zip(rows, events, strict=True))
        for row in block:
            value = records.values[row]
            if value is None or row in found:
                continue
            try:
                found[row] = self._event(value, records.headers[row], schemas)
            except RefusedError as refused:
                rejections.append(
                    Rejection(row, Stage.DECODE, refused.code, refused.message, refused.path)
                )
        rows = sorted(found)
        return rows, [found[row] for row in rows]

    def _usual_events(
        self, records: RecordBatch, block: range
    ) -> tuple[list[int], list[WireEvent]]:
        """Decode what is bare, shallow JSON without a fault, which nearly every event is.

        What holds for a whole block is asked once, and the loop is one of C: half of what it
        costs to look at each event closely, which is for all that is not among the result.
        """
        part = slice(block.start, block.stop)
        values: Sequence[bytes] = records.values[part]  # type: ignore[assignment]
        rows: list[int] = []
        events: list[WireEvent] = []
        if not self._bare_json or (self._headers_count and any(records.headers[part])):
            return rows, events
        decoded = map(self._event_json.decode, values)
        left = block
        while left:
            known = len(events)
            # What came before the one that raises is kept, and the map goes on behind it. A
            # tombstone raises TypeError.
            with suppress(*DECODER_ERRORS, TypeError):
                events.extend(decoded)
            good = len(events) - known
            rows += left[:good]
            left = left[good + 1 :]
            if not events:
                return rows, events  # likely of another format, all of them
        if len(rows) < len(block):
            values = [value for row in rows if (value := records.values[row]) is not None]
        return (rows, events) if self._all_usual(values, events) else ([], [])

    def _all_usual(self, values: Sequence[bytes], events: Sequence[WireEvent]) -> bool:
        """Whether none of these is too large or too deep, or meant for another model."""
        if max(map(len, values), default=0) > self._max_bytes:
            return False
        predictions = [event.prediction for event in events]
        if any(predictions) and not {p.model for p in predictions if p} <= {None, self._model}:
            return False
        return are_usual_json(values) or not any(
            json_too_deep(value, self._max_depth) for value in values
        )

    def _event(self, value: bytes, headers: Headers, schemas: Schemas) -> WireEvent:
        # Where its neighbours are not usual it may still be: finding that out costs a tenth of
        # a microsecond.
        if (
            self._bare_json
            and not (headers and self._headers_count)
            and value[:1] == b"{"
            and len(value) <= self._max_bytes
            and is_usual_json(value)
        ):
            try:
                event = self._event_json.decode(value)
            except DECODER_ERRORS as error:
                raise self._refusal(error, value, "json") from error
        else:
            event = self._formatted(value, headers, schemas)
        if event.prediction is not None:
            self._refuse_other_model(event.prediction)
        return event

    def _formatted(self, value: bytes, headers: Headers, schemas: Schemas) -> WireEvent:
        refuse_size(value, self._max_bytes)
        body, reader = unframed(value, headers, schemas)
        if reader is not None:
            return self._registered(body, reader, headers)
        try:
            return self._plain(body, headers)
        except RefusedError as refused:
            raise refusal_of_unread(refused, body, headers, schemas) from refused

    def _plain(self, value: bytes, headers: Headers) -> WireEvent:
        """Decode JSON or MessagePack."""
        body, encoding, envelope, path = self._formats.read(value, headers)
        if self._requests_alone:
            return self._requested(body, encoding, envelope, path)
        try:
            if envelope is None:
                return self._event_decoders[encoding](body)
            return self._with(envelope, self._data_decoders[encoding](body))
        except DECODER_ERRORS as error:
            # Looked for last, so that an event pays nothing for it.
            if self._may_be_request and encoding == "json" and is_request(body):
                return self._requested(body, encoding, envelope, path)
            raise self._refusal(error, body, encoding, path) from error

    def _requested(
        self, body: bytes, encoding: Encoding, envelope: Envelope | None, path: str
    ) -> WireEvent:
        """Decode a request of the Open Inference Protocol."""
        if encoding != "json":
            message = "requests of the Open Inference Protocol are read as JSON alone"
            raise RefusedError(RejectCode.UNSUPPORTED_FORMAT, message, path)
        name, data = self._requests.read(body, path)
        if envelope is None:
            if name is None:
                message = "a request needs an id, or a CloudEvent around it"
                raise RefusedError(RejectCode.MISSING_FIELD, message, f"{path}.id")
            envelope = Envelope(name, None)
        return self._with(envelope, data)

    def _registered(self, body: bytes, reader: PayloadReader, headers: Headers) -> WireEvent:
        """Decode what a schema of the registry describes; to what JSON is decoded to."""
        envelope = self._formats.envelope(headers)
        tree = read_payload(body, reader)
        try:
            if envelope is None:
                return msgspec.convert(tree, self._event_type)
            return self._with(envelope, msgspec.convert(tree, self._data_type))
        except DECODER_ERRORS as error:
            malformed = MALFORMED_PAYLOAD[reader.encoding]
            raise refusal(error, body, malformed=malformed, limited=self._limited) from error

    def _with(self, envelope: Envelope, data: WireData) -> WireEvent:
        return self._event_type(
            id=envelope.id,
            time=data.time if envelope.time is None else envelope.time,
            features=data.features,
            prediction=data.prediction,
            model=data.model,
        )

    def _refusal(
        self, error: Exception, body: bytes, encoding: Encoding, path: str = "$"
    ) -> RefusedError:
        return refusal(
            error, body, malformed=_MALFORMED[encoding], limited=self._limited, root=path
        )

    def _refuse_other_model(self, prediction: UpstreamPrediction) -> None:
        if prediction.model not in (None, self._model):
            raise RefusedError(
                RejectCode.UNKNOWN_MODEL,
                "names another model than the bundle's",
                "$.prediction.model",
            )
