"""CloudEvents 1.0 around what is written, in binary mode: attributes go into headers.

The value stays what it is without an envelope. Nothing here depends on when it is written.
"""

import re
from collections.abc import Iterable

from sidecar.config.settings import OutputSettings
from sidecar.events import Headers

# A string of CloudEvents holds no control characters; ids of events may.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class CloudEventEnvelope:
    """Headers that make a CloudEvent of a record."""

    def __init__(self, source: str, kind: str, content_type: str) -> None:
        """Keep what every record says.

        Args:
            source: Who says so, as a URI reference.
            kind: What kind of thing happened.
            content_type: How the value is written.
        """
        self._same = (
            ("ce_specversion", b"1.0"),
            ("ce_source", source.encode()),
            ("ce_type", kind.encode()),
            ("content-type", content_type.encode()),
        )

    def headers(
        self, ids: Iterable[str], times: Iterable[str], causes: Iterable[str]
    ) -> list[Headers]:
        """Give the headers of records.

        Args:
            ids: Of the records, unique together with the source.
            times: When it happened, RFC 3339.
            causes: Ids of the events that they answer; one that CloudEvents cannot hold, or
                an empty one, is left out.
        """
        rows: list[Headers] = []
        for identity, time, cause in zip(ids, times, causes, strict=True):
            own = [*self._same, ("ce_id", identity.encode()), ("ce_time", time.encode())]
            if cause and not _CONTROL.search(cause):
                own.append(("ce_causationid", cause.encode()))
            rows.append(own)
        return rows


def envelope(
    settings: OutputSettings, name: str, content_type: str
) -> CloudEventEnvelope | None:
    """Give the envelope of decisions; None when there is none.

    Args:
        settings: Which, and what it says.
        name: Of the sidecar, for the source when the settings name none.
        content_type: How values are written.
    """
    if settings.envelope == "none":
        return None
    said = settings.cloudevents
    return CloudEventEnvelope(said.source or f"/sidecar/{name}", said.type, content_type)
