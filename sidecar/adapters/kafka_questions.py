"""Questions to brokers that the client has no words for; none of them changes anything.

Each is a request of the public Kafka protocol, in the client's own form: a schema for the
request and one for its answer. Brokers that are too old for one make the client raise
`NotImplementedError` or `IncompatibleBrokerVersion`.
"""

from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Array,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    String,
    TaggedFields,
)

_TEXT = String("utf-8")
_COMPACT_TEXT = CompactString("utf-8")


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", Array(("id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT))),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", _TEXT),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _MetadataRequest(RequestStruct):
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", Array(_TEXT)),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class TopicsAndRights(Request[_MetadataRequest]):
    """What topics are like and what we may do with them. Version 8, of Kafka 2.3.

    It creates no topic, also where brokers would create one for whoever asks.
    """

    API_KEY = 3

    def __init__(self, topics: list[str] | None) -> None:
        """Ask about these topics; None asks about all that we may see."""
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequest]) -> _MetadataRequest:
        """Give the request as it is sent."""
        return request_struct_class(self._topics, False, False, self._topics is not None)


class _GroupsRequest(RequestStruct):
    # The client has this one too, but reads the answer as version 2, which lacks the rights.
    API_KEY = 15
    API_VERSION = 3
    RESPONSE_TYPE = DescribeGroupsResponse_v3
    SCHEMA = DescribeGroupsRequest_v3.SCHEMA


class GroupAndRights(Request[_GroupsRequest]):
    """Who is in a consumer group and what we may do with it. Version 3, of Kafka 2.3."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        """Ask about this group; its coordinator answers."""
        self._group = group

    def build(self, request_struct_class: type[_GroupsRequest]) -> _GroupsRequest:
        """Give the request as it is sent."""
        return request_struct_class([self._group], True)


_REPLICAS = CompactArray(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_ms", Int64),
    ("last_caught_up_ms", Int64),
    ("tags", TaggedFields),
)


class _QuorumResponse(Response):
    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("topic", _COMPACT_TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader_id", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _QuorumRequest(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 55
    API_VERSION = 1
    RESPONSE_TYPE = _QuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", _COMPACT_TEXT),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class Quorum(Request[_QuorumRequest]):
    """How the controllers stand to each other. Version 1, of Kafka 3.3 in KRaft mode.

    The leader counts as caught up at the moment when it answers: this is the one answer of
    Kafka that holds a broker's clock and costs no record.
    """

    API_KEY = 55

    def build(self, request_struct_class: type[_QuorumRequest]) -> _QuorumRequest:
        """Give the request as it is sent."""
        return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})
