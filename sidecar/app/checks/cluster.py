"""Checks of the way into the cluster, of the consumer group, and of what stayed unknown."""

from collections.abc import Iterator, Sequence

from sidecar.adapters.kafka_facts import Door, Right
from sidecar.adapters.schema_registry import NOT_SET_UP, REFUSED, UNREACHABLE
from sidecar.app.checks.check import Check, Severity, Spot
from sidecar.app.checks.fit import MANY_BYTES
from sidecar.app.checks.meeting import Meeting
from sidecar.config.defaults import transactional_prefix

_SECURITY = "$.kafka.security"
_SERVERS = "$.kafka.bootstrap_servers"
_ASSIGNOR = "sticky"
# Clocks that are kept right differ by less; event time may be 5 min ahead of a record's.
_CLOCKS_MS = 5_000


# --- getting in ------------------------------------------------------------------------------


def credentials_cannot_be_read(meeting: Meeting) -> Iterator[Spot]:
    """A secret or a certificate is not where the config says, or cannot be read."""
    if meeting.cluster.no_credentials:
        yield Spot(_SECURITY, meeting.cluster.no_credentials)


def broker_cannot_be_reached(meeting: Meeting) -> Iterator[Spot]:
    """Nothing answers at an address, and at no other one either."""
    if not _any_open(meeting):
        for index, door in _shut(meeting):
            if door.reason not in ("tls_failed", "authentication_failed"):
                yield Spot(f"{_SERVERS}[{index}]", door.message)


def address_is_dead(meeting: Meeting) -> Iterator[Spot]:
    """An address of the config does not let us in, and others do."""
    if _any_open(meeting):
        for index, door in _shut(meeting):
            yield Spot(f"{_SERVERS}[{index}]", door.message)


def tls_fails(meeting: Meeting) -> Iterator[Spot]:
    """Broker and client do not agree on TLS: authority, certificate, name or protocol."""
    yield from _shut_for(meeting, "tls_failed")


def login_fails(meeting: Meeting) -> Iterator[Spot]:
    """The brokers do not accept who we say that we are."""
    yield from _shut_for(meeting, "authentication_failed")


def advertised_address_is_dead(meeting: Meeting) -> Iterator[Spot]:
    """A broker names an address for clients at which this machine cannot reach it."""
    for door in meeting.cluster.doors:
        if door.advertised and door.reason:
            yield Spot(_SERVERS, f"the brokers send us to {door.message}")


def _any_open(meeting: Meeting) -> bool:
    return any(not door.reason for door in meeting.cluster.doors if not door.advertised)


def _shut(meeting: Meeting) -> list[tuple[int, Door]]:
    doors = [door for door in meeting.cluster.doors if not door.advertised]
    return [(index, door) for index, door in enumerate(doors) if door.reason]


def _shut_for(meeting: Meeting, reason: str) -> Iterator[Spot]:
    """Say it once: the same security is used at every address."""
    shut = [] if _any_open(meeting) else _shut(meeting)
    messages = [door.message for _, door in shut if door.reason == reason]
    if messages:
        yield Spot(_SECURITY, messages[0])


# --- the group and the rest ------------------------------------------------------------------


def group_may_not_be_read(meeting: Meeting) -> Iterator[Spot]:
    """The user has no right to be a member of the consumer group."""
    group, name = meeting.cluster.group, meeting.settings.kafka.group
    if group is not None and group.rights is not None and Right.READ not in group.rights:
        yield Spot("$.kafka.group", f"this user lacks `Read` on the group `{name}`")


def group_shares_another_way(meeting: Meeting) -> Iterator[Spot]:
    """The members of the group share partitions in a way that we do not: we cannot join."""
    group, name = meeting.cluster.group, meeting.settings.kafka.group
    if group is None:
        return
    if group.kind not in ("", "consumer"):
        yield Spot("$.kafka.group", f"`{name}` is a group of kind `{group.kind}`")
    elif group.assignor not in ("", _ASSIGNOR):
        message = f"its members use the assignor `{group.assignor}`, we use `{_ASSIGNOR}`"
        yield Spot("$.kafka.group", message)


def group_has_strangers(meeting: Meeting) -> Iterator[Spot]:
    """Other clients are in the group: they take partitions whose events get no decision."""
    group, ours = meeting.cluster.group, str(meeting.settings.name)
    members = group.members if group is not None else ()
    if strangers := sorted(
        {f"`{m.client_id}` at {m.host}" for m in members if m.client_id != ours}
    ):
        yield Spot("$.kafka.group", f"members that are not `{ours}`: {', '.join(strangers)}")


def session_timeout_is_refused(meeting: Meeting) -> Iterator[Spot]:
    """The brokers take no session time-out of this length."""
    known, timeout = (
        meeting.cluster.broker_settings or {},
        meeting.settings.kafka.session_timeout,
    )
    least = int(known.get("group.min.session.timeout.ms", timeout.ms))
    most = int(known.get("group.max.session.timeout.ms", timeout.ms))
    if not least <= timeout.ms <= most:
        message = f"`{timeout}` is not within the brokers' {least:,} to {most:,} ms"
        yield Spot("$.kafka.session_timeout", message)


def clocks_differ(meeting: Meeting) -> Iterator[Spot]:
    """This machine's clock and the brokers' differ by more than 5 s."""
    ahead_ms = meeting.cluster.ahead_ms or 0
    if abs(ahead_ms) > _CLOCKS_MS:
        word = "ahead of" if ahead_ms > 0 else "behind"
        message = f"the brokers' clock is {abs(ahead_ms) / 1000:,.1f} s {word} this machine's"
        yield Spot(_SERVERS, message)


def transactions_are_not_allowed(meeting: Meeting) -> Iterator[Spot]:
    """The user has no right to the transactional ids of `exactly_once`."""
    if meeting.cluster.may_transact is False:
        prefix = transactional_prefix(meeting.settings)
        message = f"this user lacks `Write` on transactional ids that begin with `{prefix}`"
        yield Spot("$.delivery.mode", message)


def transactions_need_many_connections(meeting: Meeting) -> Iterator[Spot]:
    """`exactly_once`: one process may get more input partitions than it should have."""
    delivery, events = meeting.settings.delivery, meeting.seen.get("events")
    if delivery.mode != "exactly_once" or events is None:
        return
    if events.partitions > delivery.max_partitions:
        message = (
            f"the last replica that runs gets all {events.partitions} partitions, with a"
            f" producer each; at most {delivery.max_partitions} are meant for one process"
        )
        yield Spot("$.delivery.max_partitions", message)


def all_windows_need_much_memory(meeting: Meeting) -> Iterator[Spot]:
    """The windows of all input partitions, which each process may hold, pass 256 MiB."""
    events = meeting.seen.get("events")
    total = meeting.window_bytes * events.partitions if events is not None else 0
    if total > MANY_BYTES.bytes >= meeting.window_bytes and events is not None:
        message = f"{events.partitions} partitions take up to {total >> 20:,} MiB"
        yield Spot("$.monitors.windows", message)


# --- the schema registry ---------------------------------------------------------------------


def registry_cannot_be_reached(meeting: Meeting) -> Iterator[Spot]:
    """The schema registry gives no answer, or one that no registry gives."""
    yield from _registry(meeting, UNREACHABLE, "$.registry.url")


def registry_refuses(meeting: Meeting) -> Iterator[Spot]:
    """The schema registry does not let this user read schemas."""
    yield from _registry(meeting, REFUSED, "$.registry")


def registry_credentials_cannot_be_read(meeting: Meeting) -> Iterator[Spot]:
    """The registry's password or a certificate is not where the config says."""
    yield from _registry(meeting, NOT_SET_UP, "$.registry")


def _registry(meeting: Meeting, reason: str, path: str) -> Iterator[Spot]:
    if meeting.registry is not None and meeting.registry[0] == reason:
        yield Spot(path, meeting.registry[1])


# --- what could not be checked ---------------------------------------------------------------


def time_ran_out(meeting: Meeting) -> Iterator[Spot]:
    """The time for the check was over before every question was answered."""
    if meeting.cluster.late:
        questions = [each.question for each in meeting.cluster.unanswered]
        yield Spot(_SERVERS, f"no time was left for {', '.join(questions)}")


def question_got_no_answer(meeting: Meeting) -> Iterator[Spot]:
    """Something is not known: the brokers are too old for the question, or refuse it."""
    for question, why in meeting.cluster.unanswered:
        yield Spot(_SERVERS, f"not checked: {question} ({why})")


_E, _W, _N = Severity.ERROR, Severity.WARNING, Severity.NOTE

CLUSTER_CHECKS: Sequence[Check[Meeting]] = (
    Check(credentials_cannot_be_read, _E, "mount or set it where the sidecar runs"),
    Check(broker_cannot_be_reached, _E, "check host, port and network, and the protocol"),
    Check(address_is_dead, _W, "mend or remove that address"),
    Check(
        tls_fails, _E, "check `ca_file`, the client certificate, and that the port takes TLS"
    ),
    Check(login_fails, _E, "check mechanism, username and secret"),
    Check(advertised_address_is_dead, _E, "have the brokers' `advertised.listeners` mended"),
    Check(group_may_not_be_read, _E, "grant `Read` on the group"),
    Check(group_shares_another_way, _E, "stop those members, or use a group of its own"),
    Check(group_has_strangers, _W, "use a group of its own"),
    Check(session_timeout_is_refused, _E, "choose one within these bounds"),
    Check(clocks_differ, _W, "set the clocks by NTP"),
    Check(transactions_are_not_allowed, _E, "grant `Write` on them, as a prefix"),
    Check(transactions_need_many_connections, _W, "raise it, or use `at_least_once`"),
    Check(all_windows_need_much_memory, _W, "use a longer `pane`, or shorter windows"),
    Check(
        registry_cannot_be_reached, _E, "check host, port, path and network; `http` or `https`"
    ),
    Check(registry_refuses, _E, "check username and secret, and the right to read schemas"),
    Check(registry_credentials_cannot_be_read, _E, "mount or set it where the sidecar runs"),
    Check(time_ran_out, _E, "give `--timeout` more, or look at the brokers"),
    Check(question_got_no_answer, _N, "grant `Describe` and `DescribeConfigs` on the cluster"),
)
"""In the order of the reference page."""
