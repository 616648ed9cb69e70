"""Records as they come over the wire."""

from collections.abc import Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder

Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def wire_batch(records: Sequence[Record], *, timestamp_ms: int) -> bytes:
    """Give one record batch of format 2, uncompressed."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, timestamp_ms, key=key, value=value, headers=headers)
    return bytes(builder.build())
