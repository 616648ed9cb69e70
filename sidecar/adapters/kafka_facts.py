"""What can be known about a Kafka cluster from outside: plain facts, not judged."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Right(IntEnum):
    """What somebody may do, by the number that the protocol has for it."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8


class Door(NamedTuple):
    """An address of the cluster, and why it did not open."""

    address: str
    advertised: bool
    """Whether a broker gave it, and not the config."""
    reason: str = ""
    """A word of `kafka_errors.reason_of`; empty when it opened."""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic is like, as far as this user may know."""

    name: str
    seen: bool = False
    """Whether it is there and may be seen."""
    hidden: bool = False
    """Whether this user may not even know that it is there."""
    partitions: int = 0
    leaderless: int = 0
    """Partitions that nobody serves at the moment."""
    replicas: int = 0
    """Copies that the partition with the fewest has."""
    in_sync: int = 0
    """Copies that are up to date, of the partition with the fewest."""
    rights: frozenset[Right] | None = None
    """None when the brokers did not say."""
    settings: Mapping[str, str] | None = None
    """None when they may not be read; empty when the question got no answer."""

    def number(self, setting: str) -> int | None:
        """Give a setting that is a number; None when it is not known."""
        text = (self.settings or {}).get(setting)
        return None if text is None else int(text)


class Member(NamedTuple):
    """Somebody in a consumer group."""

    client_id: str
    host: str


@dataclass(frozen=True, slots=True)
class Group:
    """What a consumer group is like."""

    state: str = ""
    """`Empty`, `Dead` (there is none), `Stable` and the like."""
    kind: str = ""
    """`consumer`, or what else shares its work this way: `connect`."""
    assignor: str = ""
    members: tuple[Member, ...] = ()
    rights: frozenset[Right] | None = None
    """None when the brokers did not say."""


class Unanswered(NamedTuple):
    """A question that got no answer."""

    question: str
    why: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """What was found out about a cluster."""

    no_credentials: str = ""
    """Why secrets or certificates could not be read; nothing else was tried then."""
    doors: tuple[Door, ...] = ()
    topics: Mapping[str, Topic] | None = None
    """By name, as they were asked for; None when no broker told."""
    others: tuple[str, ...] = ()
    """Names of the other topics that may be seen; asked for only when a topic is missing."""
    group: Group | None = None
    may_transact: bool | None = None
    """Whether this user may use the transactional ids; None when nobody asked, or told."""
    broker_settings: Mapping[str, str] | None = None
    ahead_ms: int | None = None
    """How far the brokers' clock is before ours, within the time that asking took."""
    unanswered: tuple[Unanswered, ...] = ()
    late: bool = False
    """Whether time ran out before every question was asked."""
