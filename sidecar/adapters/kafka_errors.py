"""What the client's errors mean: what is done about one, and the short word for probes."""

import ssl
from enum import Enum

import aiokafka.errors as kafka_errors
from aiokafka.errors import BrokerResponseError, KafkaError


class InvalidRecordError(BrokerResponseError):
    """The broker's own check refused a record: no key on a compacted topic, for example."""

    errno = 87
    message = "INVALID_RECORD"


# aiokafka knows the codes up to 79 and calls every later one UnknownError. This one decides
# what is done, so it is told apart.
kafka_errors.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)


class Fate(Enum):
    """What is done about an error of the client."""

    REFUSED = "refused"
    """One record of the batch will never be taken; nothing of the batch was written, and the
    producer's sequence numbers no longer fit the broker's."""
    OWNERSHIP_LOST = "ownership_lost"
    """The partitions belong to another member: drop what is in flight, keep the client."""
    REBUILD = "rebuild"
    """Nothing is known about the outcome, or the client is broken: close it, build a new one.
    Also the answer to errors that nobody has met yet."""


_REFUSED = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.InvalidTimestampError,
    InvalidRecordError,
)
_OWNERSHIP_LOST = (
    kafka_errors.CommitFailedError,
    kafka_errors.IllegalStateError,
    kafka_errors.IllegalGenerationError,
    kafka_errors.RebalanceInProgressError,
    kafka_errors.UnknownMemberIdError,
)


def fate(error: BaseException) -> Fate:
    """Give what is done about an error of the client."""
    if isinstance(error, _REFUSED):
        return Fate.REFUSED
    if isinstance(error, _OWNERSHIP_LOST):
        return Fate.OWNERSHIP_LOST
    return Fate.REBUILD


# What connecting raises; ValueError when the broker's answer to SCRAM does not add up.
CONNECT_ERRORS = (KafkaError, OSError, TimeoutError, ValueError)

# The first class that fits gives the word; it becomes a metric label.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((ssl.SSLError,), "tls_failed"),
    (
        (
            kafka_errors.TopicAuthorizationFailedError,
            kafka_errors.GroupAuthorizationFailedError,
            kafka_errors.ClusterAuthorizationFailedError,
            kafka_errors.TransactionalIdAuthorizationFailed,
        ),
        "not_authorised",
    ),
    (
        (
            kafka_errors.AuthenticationFailedError,
            kafka_errors.SaslAuthenticationFailed,
            kafka_errors.UnsupportedSaslMechanismError,
            kafka_errors.IllegalSaslStateError,
            KeyError,
            FileNotFoundError,
            PermissionError,
            ValueError,
        ),
        "authentication_failed",
    ),
    (
        (kafka_errors.UnknownTopicOrPartitionError, kafka_errors.InvalidTopicError),
        "topic_missing",
    ),
    (
        (kafka_errors.NotLeaderForPartitionError, kafka_errors.LeaderNotAvailableError),
        "no_leader",
    ),
    (
        (kafka_errors.NotEnoughReplicasError, kafka_errors.NotEnoughReplicasAfterAppendError),
        "not_enough_replicas",
    ),
    ((kafka_errors.OutOfOrderSequenceNumber, kafka_errors.UnknownProducerId), "sequence_lost"),
    ((kafka_errors.ProducerFenced, kafka_errors.InvalidProducerEpoch), "fenced"),
    ((TimeoutError, kafka_errors.KafkaTimeoutError), "timeout"),
    ((OSError, kafka_errors.KafkaConnectionError), "broker_unreachable"),
)


def reason_of(error: BaseException) -> str:
    """Give the short word for an error, fit for a metric label; else `client_failed`."""
    for classes, word in _REASONS:
        if isinstance(error, classes):
            return word
    return "client_failed"


def text_of(error: BaseException) -> str:
    """Give an error as text for people; some have none but their name."""
    return f"{type(error).__name__}: {error}".removesuffix(": ")
