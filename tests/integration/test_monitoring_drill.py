"""Real faults under load: the alert that must fire does, goes where it must, and ends.

All of them happen at the same time, each to a sidecar of its own, while one more is left in
peace. See `monitoring.py` for what is shipped and what is changed for it.
"""

import copy
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from sidecar.clock import SystemClock
from tests.boards import Asked, asked
from tests.brokers.kafka import KafkaBroker
from tests.integration.drill import Judged, Member, Sizes, Traffic, picky_bundle
from tests.integration.monitoring import (
    FACTOR,
    MONITORING,
    ROUTES,
    RULES,
    Monitoring,
    faster,
    faster_routes,
    faster_rules,
    monitoring,
    programs,
)
from tests.integration.service import eventually

pytestmark = [pytest.mark.kafka, pytest.mark.alertmanager, pytest.mark.timeout(420)]

RECEIVERS = {"critical": "pager", "warning": "tickets"}
HEALTHY_S = 20.0
"""How long all are well before the first fault: a third of a scaled hour."""
CALM = 'alertname!="SidecarEventLoopLate"'
"""Whether this machine is short of CPU is not the question, and its gauge holds the worst of a
whole minute, which is an hour here."""
RIGHTS = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}
STANDSTILL = {"SidecarIntakePaused", "SidecarNotReady", "SidecarStalled"}


class Drill(NamedTuple):
    """What goes on, and what has come of it."""

    monitoring: Monitoring
    scenarios: dict[str, Future[None]]
    began_s: float

    def done(self, name: str) -> None:
        """Wait for a scenario; fail as it has failed."""
        self.scenarios[name].result()

    def span(self) -> tuple[float, float]:
        """From the first to the last second, when all is over."""
        wait(self.scenarios.values())
        return self.began_s, SystemClock().now_ms() / 1000


@pytest.fixture(scope="module")
def drill(
    kafka: KafkaBroker, credit_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Drill]:
    """Let everything happen, and give it while it does."""
    found = programs()
    folder = tmp_path_factory.mktemp("drill")
    picky = picky_bundle(folder / "picky")
    with ExitStack() as stack:
        broker = KafkaBroker(tmp_path_factory.mktemp("kafka"), properties=RIGHTS)
        broker.start()
        stack.callback(broker.kill)

        def member(
            name: str,
            traffic: Traffic,
            bundle: Path = credit_bundle,
            broker: KafkaBroker = kafka,
            **sections: Any,
        ) -> Member:
            job = f"sidecar-{name}"
            made = Member(broker, folder, job, bundle, traffic, **sections)
            stack.callback(made.close)
            return made

        members = {
            "peace": member("peace", Traffic()),
            "refused": member("refused", Judged(), model={"shadow": True}),
            "drift": member("drift", Traffic()),
            "stalled": member("stalled", Traffic()),
            "kafka": member("kafka", Traffic(), broker=broker),
            "model": member(
                "model",
                Sizes(),
                picky,
                fallback={
                    "rules": [{"name": "large", "when": {"size": {"gt": 1000}}, "score": 0}]
                },
                breaker={"window": "5s", "min_calls": 2, "probe_every": "1s"},
            ),
        }
        for one in members.values():
            one.sidecar.becomes()
        targets = {one.job: one.address for one in members.values()}
        site = stack.enter_context(monitoring(folder, found, targets))
        for one in members.values():
            one.warm()
        eventually(lambda: site.targets_up() == len(members), "an answer to every scrape")
        pool = stack.enter_context(ThreadPoolExecutor())
        acts: dict[str, Callable[[Monitoring, Member], None]] = {
            "refused": some_are_refused,
            "drift": one_drifts_and_is_killed,
            "stalled": output_stalls,
            "kafka": partial(kafka_is_away, broker=broker),
            "model": model_fails,
        }
        began_s = SystemClock().now_ms() / 1000
        scenarios = {name: pool.submit(act, site, members[name]) for name, act in acts.items()}
        yield Drill(site, scenarios, began_s)


def healthy() -> None:
    """Let a while pass in which nothing is wrong."""
    until = SystemClock().monotonic() + HEALTHY_S
    eventually(lambda: SystemClock().monotonic() > until, "peace", within_s=2 * HEALTHY_S)


# --- what happens --------------------------------------------------------------------------


def some_are_refused(site: Monitoring, one: Member) -> None:
    """A producer sends five of sixty records as no JSON, and mends it; a replica joins."""
    healthy()
    one.start(address="127.0.0.1:0").becomes()
    one.traffic.bad = 5
    site.told("pager", "SidecarRejectedBudgetBurns", one.job)
    site.silent("SidecarRejectedBudgetBurnsSlowly", one.job, {"SidecarRejectedBudgetBurns"})
    one.traffic.bad = 0
    site.told("pager", "SidecarRejectedBudgetBurns", one.job, "resolved")
    # It looks back three scaled days, and is heard while nothing louder is.
    site.heard("SidecarRejectedBudgetBurnsSlowly", one.job)


def model_fails(site: Monitoring, one: Member) -> None:
    """Every event makes the model fail, until they are as before."""
    assert isinstance(one.traffic, Sizes)
    healthy()
    one.traffic.too_large = True
    site.told("pager", "SidecarCircuitOpen", one.job)
    site.silent("SidecarFallbackShare", one.job, {"SidecarCircuitOpen"})
    one.traffic.too_large = False
    site.told("pager", "SidecarCircuitOpen", one.job, "resolved")
    site.over(one.job, "SidecarFallbackShare")


def one_drifts_and_is_killed(site: Monitoring, one: Member) -> None:
    """Amounts are three times as large; meanwhile the process is killed, and comes back."""
    healthy()
    one.traffic.dear = 3.0
    site.told("tickets", "SidecarDrift", one.job)
    one.sidecar.kill()
    site.told("pager", "SidecarDown", one.job)
    site.silent("SidecarDrift", one.job, {"SidecarDown"})
    assert ("SidecarDrift", "suppressed") in {
        (alert.name, alert.state) for alert in site.alerts_by_amtool(one.job)
    }
    one.start().becomes()
    site.told("pager", "SidecarDown", one.job, "resolved")
    one.traffic.dear = 1.0
    site.told("tickets", "SidecarDrift", one.job, "resolved")


def output_stalls(site: Monitoring, one: Member) -> None:
    """The topic of decisions is gone until lag has grown for long, and is made again."""
    healthy()
    one.delete_topic(one.topics.decisions)
    site.told("pager", "SidecarIntakePaused", one.job)
    site.silent("SidecarNotReady", one.job, {"SidecarIntakePaused"})
    site.silent("SidecarStalled", one.job, {"SidecarIntakePaused"})
    site.silent("SidecarBehindBudgetBurns", one.job, STANDSTILL)
    site.silent("SidecarLagGrows", one.job, STANDSTILL)
    one.make_topic(one.topics.decisions)
    site.told("pager", "SidecarIntakePaused", one.job, "resolved")
    # What waited is answered, and late.
    site.told("pager", "SidecarLateBudgetBurns", one.job)
    site.told("pager", "SidecarLateBudgetBurns", one.job, "resolved")
    site.over(one.job, *STANDSTILL, "SidecarBehindBudgetBurns", "SidecarLagGrows")


def kafka_is_away(site: Monitoring, one: Member, broker: KafkaBroker) -> None:
    """The broker ends and comes back; later a process may not read the state at its start."""
    healthy()
    with one.producers:
        broker.stop()
        site.told("pager", "SidecarNotReady", one.job)
        broker.start()
    site.told("pager", "SidecarNotReady", one.job, "resolved")
    site.over(one.job, "SidecarStalled", "SidecarLagGrows", "SidecarBehindBudgetBurns")
    # All that follows is silent: it is one page.
    told = {(to.receiver, to.labels["alertname"]) for to in site.inbox.of(one.job)}
    assert told == {("pager", "SidecarNotReady")}

    one.sidecar.kill()
    with denied(broker, one.topics.state):
        one.start().said("state_unavailable")
        site.told("pager", "SidecarRestoreStuck", one.job)
        site.silent("SidecarNotReady", one.job, {"SidecarRestoreStuck"})
    site.told("pager", "SidecarRestoreStuck", one.job, "resolved")
    site.over(one.job, "SidecarNotReady")


@contextmanager
def denied(broker: KafkaBroker, topic: str) -> Iterator[None]:
    """Let nobody read a topic for a while; all else is allowed, writing too."""

    def rule(operation: AclOperation, permission: AclPermissionType) -> AclBinding:
        literal = ResourcePatternType.LITERAL
        return AclBinding(
            ResourceType.TOPIC, topic, literal, "User:ANONYMOUS", "*", operation, permission
        )

    rules = [
        rule(AclOperation.ALL, AclPermissionType.ALLOW),
        rule(AclOperation.READ, AclPermissionType.DENY),
    ]
    every = AclBindingFilter(
        ResourceType.TOPIC,
        topic,
        ResourcePatternType.LITERAL,
        "User:ANONYMOUS",
        "*",
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    broker.add_rights(rules)
    try:
        yield
    finally:
        broker.take_rights(every)


# --- what must have come of it -------------------------------------------------------------


@pytest.mark.parametrize("scenario", ["refused", "model", "drift", "stalled", "kafka"])
def test_the_right_alerts_fire_and_end_and_what_follows_from_them_is_silent(
    drill: Drill, scenario: str
) -> None:
    drill.done(scenario)


def test_nothing_fires_where_nothing_is_wrong(drill: Drill) -> None:
    begin, end = drill.span()

    firing = f'ALERTS{{job="sidecar-peace", alertstate="firing", {CALM}}}'
    assert drill.monitoring.query(firing, begin, end) == []
    assert drill.monitoring.query('up{job="sidecar-peace"} == 0', begin, end) == []


def test_nothing_fires_before_the_first_fault(drill: Drill) -> None:
    begin, _ = drill.span()

    firing = f'ALERTS{{alertstate="firing", {CALM}}}'
    assert drill.monitoring.query(firing, begin, begin + HEALTHY_S) == []


def test_every_notification_went_where_its_severity_says(drill: Drill) -> None:
    drill.span()
    received = drill.monitoring.inbox.received

    assert {told.receiver for told in received} == {"pager", "tickets"}
    assert [
        told for told in received if told.receiver != RECEIVERS[told.labels["severity"]]
    ] == []


def test_every_query_of_the_dashboards_is_answered(drill: Drill) -> None:
    begin, end = drill.span()

    def answered(query: Asked) -> bool:
        expr = query.filled(
            job=".*", instance=".*", window="10m", feature=".*", __rate_interval="5s"
        )
        return drill.monitoring.query(expr, begin, end) != []

    unanswered = [query for query in asked() if not answered(query)]
    assert unanswered == [], "\n".join(map(str, unanswered))


def test_the_books_balance_at_every_scrape_whatever_happens(drill: Drill) -> None:
    begin, end = drill.span()
    (books,) = (query for query in asked() if query.panel == "Not accounted for")

    (answer,) = drill.monitoring.query(books.filled(job=".*", instance=".*"), begin, end)

    assert len(answer["values"]) > end - begin - 5
    assert {float(value) for _, value in answer["values"]} == {0.0}


# --- what is changed of what is shipped ----------------------------------------------------


def test_only_durations_of_the_rules_are_changed() -> None:
    shipped = (MONITORING / RULES).read_text(encoding="utf-8")
    rules = faster_rules(shipped)

    slower = re.compile(r"(?<=\[)\d+ms(?=\])")
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = slower.sub("D", rule["expr"])
            rule.update({name: "D" for name in ("for", "keep_firing_for") if name in rule})
    wanted = copy.deepcopy(yaml.safe_load(shipped))
    for group in wanted["groups"]:
        for rule in group["rules"]:
            rule["expr"] = re.sub(r"(?<=\[)\d+[smhd](?=\])", "D", rule["expr"])
            rule.update({name: "D" for name in ("for", "keep_firing_for") if name in rule})
    assert rules == wanted
    assert (faster("5m"), faster("1d"), FACTOR) == ("5000ms", "1440000ms", 60)


def test_only_intervals_and_addresses_of_the_routes_are_changed() -> None:
    shipped = (MONITORING / ROUTES).read_text(encoding="utf-8")
    routes, wanted = (
        faster_routes(shipped, "http://here", Path("token")),
        yaml.safe_load(shipped),
    )

    assert routes["inhibit_rules"] == wanted["inhibit_rules"]
    assert [receiver["name"] for receiver in routes["receivers"]] == ["pager", "tickets"]
    for tree in (routes, wanted):
        for route in (tree["route"], *tree["route"]["routes"]):
            for name in ("group_wait", "group_interval", "repeat_interval"):
                route.pop(name, None)
    assert routes["route"] == wanted["route"]
