"""The trace context of a record: W3C Trace Context, https://www.w3.org/TR/trace-context/.

It is handed on as it came; making one is the work of OpenTelemetry's library.
"""

import re

from sidecar.events import Headers

PARENT, STATE = "traceparent", "tracestate"
# CloudEvents' extension for distributed tracing writes its attributes with the prefix of Kafka.
_CLOUD_EVENT = "ce_"
# A version above 00 may go on after the flags; ff is no version, ids of zeros are none.
_PARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
# What libraries take, and more than any of them writes.
_MOST_STATE_BYTES = 512


def trace_context(headers: Headers) -> Headers:
    """Give the trace context of a record's headers.

    Where there are two, the one of the last producer counts, and the record's own before that
    of the CloudEvent in it.

    Args:
        headers: Of the record.

    Returns:
        `traceparent`, and `tracestate` where there is one; empty without a valid `traceparent`.

    Example:
        >>> parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        >>> trace_context([("k", b"v"), ("ce_traceparent", parent)])
        [('traceparent', b'00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')]
    """
    if not headers:
        return ()
    said = dict(headers)
    for prefix in ("", _CLOUD_EVENT):
        parent, state = said.get(prefix + PARENT), said.get(prefix + STATE)
        if parent is not None and _PARENT.fullmatch(parent):
            if state and len(state) <= _MOST_STATE_BYTES:
                return [(PARENT, parent), (STATE, state)]
            return [(PARENT, parent)]
    return ()
