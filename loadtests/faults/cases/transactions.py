"""Transactions that are refused, that outlast their time, and whose coordinator goes away."""

from loadtests.faults.fleet import Member
from loadtests.faults.scene import PARTITIONS, SESSION_S, Fault, Limits, Scene

_LOG = "__transaction_state"
_LIMITS = (
    100,  # below every decision
    1_000,  # below a batch of decisions, above each one of them
)
_ENOUGH = 1_000_000
# The sidecar's transactions end after 30 s, and the broker looks for those every 10 s.
_TIMEOUT_S = 30.0
_LOOKS_S = 10.0
_SLACK_S = 10.0


def refused(scene: Scene) -> None:
    """Lower what the decisions' topic takes amid transactions, again and again."""
    (member,) = scene.fleet.alive
    broker = scene.site.cluster.one()
    for limit in _LIMITS * (4 if scene.long else 1):
        before = _refusals(member)
        broker.set_config(scene.decisions, max_message_bytes=str(limit))
        told = scene.until(lambda: _refusals(member) > before, "a refusal", 30)  # noqa: B023
        scene.run_for(scene.rng.uniform(0.0, 3.0))
        broker.set_config(scene.decisions, max_message_bytes=str(_ENOUGH))
        scene.decides()
        if told:
            scene.count("transactions refused")


def _refusals(member: Member) -> int:
    lines = member.said("kafka_unavailable")
    return sum(line.get("reason") == "record_refused" for line in lines)


def times_out(scene: Scene) -> None:
    """Stop the only sidecar amid a transaction for longer than that may take."""
    (member,) = scene.fleet.alive
    with scene.outage():
        for _ in range(5):
            member.freeze()
            scene.run_for(1)
            if scene.reader.has_open(scene.decisions):
                break
            member.thaw()
            scene.run_for(scene.rng.uniform(0.1, 0.4))
        limit_s = _TIMEOUT_S + _LOOKS_S + _SLACK_S
        scene.until(lambda: not scene.reader.has_open(scene.decisions), "its end", limit_s)
        member.thaw()
    scene.run_for(SESSION_S)
    if not scene.fleet.alive:  # it may be told as fatal that it is not wanted any more
        scene.fleet.start()
    scene.progresses()


def coordinator(scene: Scene) -> None:
    """Kill the broker of three that coordinates the transactions of a partition."""
    for _ in range(PARTITIONS if scene.long else 1):
        partition = scene.rng.randrange(PARTITIONS)
        node = _coordinator(scene, f"{scene.group}.{scene.events}.{partition}")
        scene.site.cluster.brokers[node - 1].kill()
        scene.count("coordinators killed")
        scene.run_for(20)
        scene.site.cluster.start()
        scene.progresses()
        scene.run_for(4)


def _coordinator(scene: Scene, transactional_id: str) -> int:
    """Give the broker that leads the partition in which the brokers keep an id."""
    log = scene.site.cluster.admin().list_topics(_LOG, timeout=15).topics[_LOG]
    return int(log.partitions[_hash(transactional_id) % len(log.partitions)].leader)


def _hash(text: str) -> int:
    """Hash as Java does, and make it positive as Kafka does."""
    value = 0
    for code in text.encode("ascii"):
        value = (31 * value + code) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


FAULTS = (
    Fault(
        "refused-transaction",
        "R21",
        "`max.message.bytes` of the decisions is lowered amid transactions",
        "what the topic does not take becomes a dead letter, the rest is decided once",
        refused,
        modes=("exactly_once",),
        short=("exactly_once",),
        limits=Limits(recovery_s=30.0),
    ),
    Fault(
        "transaction-times-out",
        "R23",
        "the only sidecar stands still amid a transaction until the broker ends that",
        "readers wait 50 s at most; nothing lost or twice when it thaws",
        times_out,
        modes=("exactly_once",),
        limits=Limits(recovery_s=30.0, codes=(0, 1)),
    ),
    Fault(
        "transactions-coordinator-killed",
        "R9",
        "the broker of three that coordinates a partition's transactions is killed for 20 s",
        "nothing lost or twice, no transaction hangs; no partition stands still for over 20 s",
        coordinator,
        site="three",
        members=2,
        modes=("exactly_once",),
        limits=Limits(recovery_s=20.0, settle_s=120.0),
    ),
)
