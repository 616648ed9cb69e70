"""Checks of the topics that a config names, as they are on its cluster."""

from collections.abc import Iterator, Sequence

from sidecar.adapters.kafka_facts import Right, Topic
from sidecar.app.checks.check import Check, Severity, Spot
from sidecar.app.checks.meeting import OUTPUTS, SIGNALS, STATE, Meeting
from sidecar.errors import did_you_mean

# A store of one partition each second is some 5 MB an hour; a start reads that in no time.
_SEGMENT_MS = 3_600_000
_SEGMENT_BYTES = 64 << 20
# What the batch and the record around a value take, with a few headers.
_AROUND_A_VALUE = 1_024


# --- there and allowed -----------------------------------------------------------------------


def topic_is_missing(meeting: Meeting) -> Iterator[Spot]:
    """A topic that is read or written is not there; the sidecar creates none."""
    for key, topic in meeting.topics.items():
        if not topic.seen and not topic.hidden and key not in (SIGNALS, STATE):
            yield _missing(meeting, key)


def state_is_missing(meeting: Meeting) -> Iterator[Spot]:
    """The topic of the counts is not there, and nothing is read before it is."""
    topic = meeting.topics.get(STATE)
    if topic is not None and not topic.seen and not topic.hidden:
        yield _missing(meeting, STATE)


def _missing(meeting: Meeting, key: str) -> Spot:
    name = meeting.topics[key].name
    near = did_you_mean(name, meeting.cluster.others)
    message = f"there is no topic `{name}`"
    return Spot(f"$.topics.{key}", f"{message}; {near}" if near else message)


def topic_is_hidden(meeting: Meeting) -> Iterator[Spot]:
    """The user may not even see a topic; the brokers do not tell whether it is there."""
    for key, topic in meeting.topics.items():
        if topic.hidden and key != SIGNALS:
            yield Spot(f"$.topics.{key}", f"this user may not see `{topic.name}`")


def topic_may_not_be_read(meeting: Meeting) -> Iterator[Spot]:
    """The user has no right to read events, or the state."""
    yield from _lacking(meeting, ("events", STATE), Right.READ)


def topic_may_not_be_written(meeting: Meeting) -> Iterator[Spot]:
    """The user has no right to write decisions, dead letters or the state."""
    yield from _lacking(meeting, (*OUTPUTS, STATE), Right.WRITE)


def signals_are_not_told(meeting: Meeting) -> Iterator[Spot]:
    """Signals cannot be written: drift is in the metrics alone. Decisions are not affected."""
    topic = meeting.topics.get(SIGNALS)
    if topic is None:
        return
    if topic.hidden:
        yield Spot(f"$.topics.{SIGNALS}", f"this user may not see `{topic.name}`")
    elif not topic.seen:
        yield Spot(f"$.topics.{SIGNALS}", f"there is no topic `{topic.name}`")
    elif topic.leaderless or topic.in_sync < (topic.number("min.insync.replicas") or 0):
        yield Spot(f"$.topics.{SIGNALS}", f"`{topic.name}` takes no write at the moment")
    yield from _lacking(meeting, (SIGNALS,), Right.WRITE)


def signals_are_compacted(meeting: Meeting) -> Iterator[Spot]:
    """Their key is the model's name, so that of each model only the last signal stays."""
    topic = meeting.seen.get(SIGNALS)
    if topic is not None and _compacted(topic):
        yield Spot(f"$.topics.{SIGNALS}", f"`{topic.name}` is compacted")


def _lacking(meeting: Meeting, keys: Sequence[str], right: Right) -> Iterator[Spot]:
    for key, topic in meeting.seen.items():
        if key in keys and topic.rights is not None and right not in topic.rights:
            message = f"this user lacks `{right.name.title()}` on `{topic.name}`"
            yield Spot(f"$.topics.{key}", message)


def partition_has_no_leader(meeting: Meeting) -> Iterator[Spot]:
    """No broker serves some partitions at the moment."""
    for key, topic in meeting.vital.items():
        if topic.leaderless:
            message = f"{topic.leaderless} partitions of `{topic.name}` have no leader"
            yield Spot(f"$.topics.{key}", message)


def partition_counts_differ(meeting: Meeting) -> Iterator[Spot]:
    """Decisions go to their event's partition, modulo; joins by partition do not line up."""
    events = meeting.seen.get("events")
    for key, topic in meeting.vital.items():
        if events is not None and topic.partitions != events.partitions:
            message = (
                f"`{topic.name}` has {topic.partitions} partitions and `{events.name}`"
                f" {events.partitions}: input partition n goes to n modulo {topic.partitions},"
                " each key stays in order, and no other topic lines up with it"
            )
            yield Spot(f"$.topics.{key}", message)


def output_is_compacted(meeting: Meeting) -> Iterator[Spot]:
    """A compacted topic takes no record without a key, and keeps only the last of each key."""
    for key, topic in meeting.seen.items():
        if key in OUTPUTS and _compacted(topic):
            message = f"`{topic.name}` is compacted: without a key nothing is taken"
            yield Spot(f"$.topics.{key}", message)


def events_are_compacted(meeting: Meeting) -> Iterator[Spot]:
    """Events of one key that wait to be read may vanish but for the last."""
    topic = meeting.seen.get("events")
    if topic is not None and _compacted(topic):
        message = f"`{topic.name}` is compacted: a sidecar that lags misses events"
        yield Spot("$.topics.events", message)


def state_is_not_compacted(meeting: Meeting) -> Iterator[Spot]:
    """The state topic forgets by age or never: counts get lost, or it grows without end."""
    topic = meeting.seen.get(STATE)
    if topic is not None and topic.number("segment.bytes") and not _only_compacted(topic):
        policy = (topic.settings or {}).get("cleanup.policy")
        message = f"`{topic.name}` has `cleanup.policy={policy}`"
        yield Spot("$.topics.state", message)


def state_is_slow_to_read(meeting: Meeting) -> Iterator[Spot]:
    """Only closed segments are compacted: a start reads all that the open one holds."""
    topic = meeting.seen.get(STATE)
    if topic is None or not _only_compacted(topic):
        return
    segment_ms, segment_bytes = topic.number("segment.ms"), topic.number("segment.bytes")
    if (segment_ms or 0) > _SEGMENT_MS and (segment_bytes or 0) > _SEGMENT_BYTES:
        message = f"`{topic.name}` keeps a segment open up to {segment_bytes:,} bytes"
        yield Spot("$.topics.state", message)


def _only_compacted(topic: Topic) -> bool:
    return (topic.settings or {}).get("cleanup.policy") == "compact"


def _compacted(topic: Topic) -> bool:
    return "compact" in (topic.settings or {}).get("cleanup.policy", "")


# --- sizes -----------------------------------------------------------------------------------


def large_events_are_refused(meeting: Meeting) -> Iterator[Spot]:
    """The events topic takes records that are larger than `limits.max_record_bytes`."""
    ours = meeting.settings.limits.max_record_bytes
    topic = meeting.seen.get("events")
    theirs = topic and topic.number("max.message.bytes")
    if theirs and theirs > ours.bytes + _AROUND_A_VALUE:
        message = f"the topic takes {theirs:,} bytes; above `{ours}` they become dead letters"
        yield Spot("$.limits.max_record_bytes", message)


def dead_letters_lose_their_payload(meeting: Meeting) -> Iterator[Spot]:
    """An event may be larger than what the topic of dead letters takes."""
    events, dead = (meeting.seen.get(key) for key in ("events", "dead_letters"))
    largest = events and events.number("max.message.bytes")
    taken = dead and dead.number("max.message.bytes")
    if largest and taken and taken < largest:
        message = f"takes {taken:,} bytes, events up to {largest:,}; others leave only a stub"
        yield Spot("$.topics.dead_letters", message)


# --- copies ----------------------------------------------------------------------------------


def topic_has_one_copy(meeting: Meeting) -> Iterator[Spot]:
    """A topic is stored once: its records go with that broker's disk."""
    for key, topic in meeting.seen.items():
        if topic.replicas == 1:
            yield Spot(f"$.topics.{key}", f"`{topic.name}` has a replication factor of 1")


def one_copy_is_acknowledged(meeting: Meeting) -> Iterator[Spot]:
    """A write counts as done when one broker has it, although there would be more copies."""
    for key, topic in meeting.seen.items():
        if topic.replicas > 1 and topic.number("min.insync.replicas") == 1:
            yield Spot(f"$.topics.{key}", f"`{topic.name}` has `min.insync.replicas` of 1")


def one_broker_stops_writes(meeting: Meeting) -> Iterator[Spot]:
    """Every copy must be there for a write: one broker that restarts stops the sidecar."""
    for key, topic in meeting.vital.items():
        needed = topic.number("min.insync.replicas")
        if key != "events" and needed is not None and needed == topic.replicas > 1:
            message = f"`{topic.name}` needs all of its {needed} copies for a write"
            yield Spot(f"$.topics.{key}", message)


def too_few_copies(meeting: Meeting) -> Iterator[Spot]:
    """Fewer copies are up to date than a write needs: nothing can be written."""
    for key, topic in meeting.vital.items():
        needed = topic.number("min.insync.replicas")
        if key != "events" and needed is not None and topic.in_sync < needed:
            message = f"`{topic.name}` has {topic.in_sync} copies in sync and needs {needed}"
            yield Spot(f"$.topics.{key}", message)


# --- what could not be checked ---------------------------------------------------------------


def settings_may_not_be_read(meeting: Meeting) -> Iterator[Spot]:
    """Cleanup, sizes and needed copies of a topic are not known."""
    for key, topic in meeting.seen.items():
        if topic.settings is None:
            message = f"not checked: cleanup, sizes and needed copies of `{topic.name}`"
            yield Spot(f"$.topics.{key}", message)


def rights_are_not_told(meeting: Meeting) -> Iterator[Spot]:
    """The brokers do not say what this user may do; only reading and writing would show it."""
    for key, topic in meeting.seen.items():
        if topic.rights is None:
            yield Spot(f"$.topics.{key}", f"not checked: the rights on `{topic.name}`")


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE
_KEYED = "write `cleanup.policy=delete`, or see that every event has a key"

TOPIC_CHECKS: Sequence[Check[Meeting]] = (
    Check(topic_is_missing, _E, "create it like the events topic, or mend its name"),
    Check(
        state_is_missing,
        _E,
        "create it with `cleanup.policy=compact` and `segment.ms=600000`, or write "
        "`monitors.state: memory`",
    ),
    Check(
        topic_is_hidden, _E, "grant `Describe`, with `Read` or `Write`, and see if it is there"
    ),
    Check(topic_may_not_be_read, _E, "grant `Read` on the topic"),
    Check(topic_may_not_be_written, _E, "grant `Write` on the topic"),
    Check(
        signals_are_not_told,
        _W,
        "create it, and grant `Write`; or write `monitors.drift.signals: none`",
    ),
    Check(signals_are_compacted, _W, "write `cleanup.policy=delete` for the topic"),
    Check(partition_has_no_leader, _E, "look at the brokers: some are down"),
    Check(partition_counts_differ, _W, "create it with as many partitions as the events topic"),
    Check(output_is_compacted, _W, _KEYED),
    Check(events_are_compacted, _W, "write `cleanup.policy=delete` for the topic"),
    Check(state_is_not_compacted, _E, "write `cleanup.policy=compact` for the topic"),
    Check(state_is_slow_to_read, _W, "set `segment.ms=600000` for the topic"),
    Check(large_events_are_refused, _W, "raise it, or lower the topic's `max.message.bytes`"),
    Check(dead_letters_lose_their_payload, _W, "raise the topic's `max.message.bytes`"),
    Check(topic_has_one_copy, _W, "use a replication factor of 3"),
    Check(one_copy_is_acknowledged, _W, "set `min.insync.replicas=2`"),
    Check(one_broker_stops_writes, _W, "use one copy more than `min.insync.replicas`"),
    Check(too_few_copies, _E, "bring brokers back, or lower `min.insync.replicas`"),
    Check(settings_may_not_be_read, _N, "grant `DescribeConfigs` on the topic"),
    Check(rights_are_not_told, _N, "use brokers of Kafka 2.3 or later"),
)
"""In the order of the reference page."""
