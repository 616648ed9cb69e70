"""Checks of a config alone: nothing that its loader refuses, and yet hardly what is meant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sidecar.adapters.otlp import MEND_TRACES
from sidecar.adapters.schema_registry import MEND_EXTRA
from sidecar.app.checks.check import Check, Severity, Spot
from sidecar.config.settings import (
    CloudEventSettings,
    DeliverySettings,
    SidecarSettings,
)
from sidecar.config.values import Duration

_LOOPBACK = ("127.", "::1", "localhost")
_ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
# What Kubernetes waits between SIGTERM and SIGKILL when nothing else is said.
_GRACE = Duration(30_000)
# The service keeps so much of its shutdown for leaving the group and closing what is open.
_CLOSING = Duration(5_000)
# Kafka's defaults of group.min.session.timeout.ms and group.max.session.timeout.ms.
_SESSIONS = (Duration(6_000), Duration(1_800_000))


@dataclass(frozen=True, slots=True)
class Plan:
    """A config, and the machine that it is checked on."""

    settings: SidecarSettings
    """As loaded: names that were left open are still open."""
    cpus: int
    """Processors that this process may use."""
    missing: Sequence[str] = ()
    """Packages that a schema registry needs and that are not installed."""
    missing_for_traces: Sequence[str] = ()
    """Packages that spans need and that are not installed."""


# --- security ------------------------------------------------------------------------------


def credentials_go_in_clear(plan: Plan) -> Iterator[Spot]:
    """Credentials are sent without TLS: whoever sees the traffic has them."""
    security = plan.settings.kafka.security
    if security.sasl is not None and not security.protocol.endswith("_ssl"):
        message = f"`{security.protocol}` sends the credentials and all records in clear"
        yield Spot("$.kafka.security.protocol", message)


def certificates_are_not_matched(plan: Plan) -> Iterator[Spot]:
    """`check_hostname: false`: any certificate of a trusted authority passes for a broker's."""
    security = plan.settings.kafka.security
    if security.protocol.endswith("ssl") and not security.check_hostname:
        message = "any certificate that a trusted authority signed passes for a broker's"
        yield Spot("$.kafka.security.check_hostname", message)


def admin_is_open(plan: Plan) -> Iterator[Spot]:
    """The admin listener asks nobody who they are, and is not on loopback."""
    admin, token = plan.settings.http.admin, plan.settings.http.admin_token
    if token is None and not admin.host.startswith(_LOOPBACK):
        yield Spot("$.http.admin", f"`{admin}` shows the status page to the whole network")


def registry_password_goes_in_clear(plan: Plan) -> Iterator[Spot]:
    """The registry's password is sent without TLS: whoever sees the traffic has it."""
    registry = plan.settings.registry
    if (
        registry is not None
        and registry.password is not None
        and not registry.url.startswith("https:")
    ):
        yield Spot("$.registry.url", "`http` sends user and password in clear")


# --- schema registry -------------------------------------------------------------------------


def registry_extra_is_missing(plan: Plan) -> Iterator[Spot]:
    """A registry is configured, and packages that it needs are not installed."""
    if plan.settings.registry is not None and plan.missing:
        yield Spot("$.registry", f"not installed: {', '.join(plan.missing)}")


def registry_outlasts_the_shutdown(plan: Plan) -> Iterator[Spot]:
    """A question to the registry may take longer than the shutdown has for work in flight."""
    registry, shutdown = plan.settings.registry, plan.settings.limits.shutdown
    if registry is not None and registry.timeout.ms > shutdown.ms - _CLOSING.ms:
        message = (
            f"`{registry.timeout}` is more than `{shutdown}` less `{_CLOSING}` for closing"
        )
        yield Spot("$.registry.timeout", message)


# --- traces ----------------------------------------------------------------------------------


def traces_extra_is_missing(plan: Plan) -> Iterator[Spot]:
    """Spans are asked for, and packages that they need are not installed."""
    if plan.settings.traces.endpoint is not None and plan.missing_for_traces:
        yield Spot("$.traces.endpoint", f"not installed: {', '.join(plan.missing_for_traces)}")


def trace_headers_go_in_clear(plan: Plan) -> Iterator[Spot]:
    """Headers for the collector are sent without TLS: whoever sees the traffic has them."""
    traces = plan.settings.traces
    address = (traces.endpoint or "").partition("://")[2].removeprefix("[")
    if (
        traces.headers
        and (traces.endpoint or "").startswith("http:")
        and not address.startswith(_LOOPBACK)
    ):
        yield Spot("$.traces.endpoint", "`http` sends the headers in clear")


# --- limits and time-outs --------------------------------------------------------------------


def listeners_share_a_port(plan: Plan) -> Iterator[Spot]:
    """Both HTTP listeners want the same port, so the second cannot be opened."""
    metrics, admin = plan.settings.http.metrics, plan.settings.http.admin
    same_host = metrics.host == admin.host or {metrics.host, admin.host} & {*_ANY_HOST}
    if metrics.port == admin.port != 0 and same_host:
        yield Spot("$.http.admin", f"`{admin}` is taken by `http.metrics`, `{metrics}`")


def in_flight_is_below_a_batch(plan: Plan) -> Iterator[Spot]:
    """A partition is paused before one batch is full, so batches never reach their size."""
    most, batch = plan.settings.limits.in_flight_records, plan.settings.model.max_batch_records
    if most < batch:
        message = f"{most} records in flight cannot fill a batch of {batch}"
        yield Spot("$.limits.in_flight_records", message)


def shutdown_outlasts_the_grace(plan: Plan) -> Iterator[Spot]:
    """The shutdown takes as long as Kubernetes waits by default, and is cut short."""
    shutdown = plan.settings.limits.shutdown
    if shutdown.ms >= _GRACE.ms:
        message = f"`{shutdown}` is not over when the usual grace period, `{_GRACE}`, is"
        yield Spot("$.limits.shutdown", message)


def shutdown_leaves_no_time(plan: Plan) -> Iterator[Spot]:
    """A shutdown keeps 5 s for closing; what is left is less than one model run may take."""
    shutdown, timeout = plan.settings.limits.shutdown, plan.settings.model.timeout
    if shutdown.ms - _CLOSING.ms < timeout.ms:
        message = (
            f"`{shutdown}` less `{_CLOSING}` for closing is less than a run of `{timeout}`"
        )
        yield Spot("$.limits.shutdown", message)


def session_timeout_is_unusual(plan: Plan) -> Iterator[Spot]:
    """Brokers take session time-outs from 6 s to 30 min unless they are told otherwise."""
    timeout, (least, most) = plan.settings.kafka.session_timeout, _SESSIONS
    if not least.ms <= timeout.ms <= most.ms:
        message = f"brokers refuse `{timeout}` unless they were told to take it"
        yield Spot("$.kafka.session_timeout", message)


def model_outlasts_a_rebalance(plan: Plan) -> Iterator[Spot]:
    """Half of the rebalance time-out is for work in flight; a model run may take longer."""
    model, rebalance = plan.settings.model.timeout, plan.settings.kafka.rebalance_timeout
    if model.ms > rebalance.ms / 2:
        message = f"`{model}` is more than half of `kafka.rebalance_timeout`, `{rebalance}`"
        yield Spot("$.model.timeout", message)


def delivery_ends_before_a_request(plan: Plan) -> Iterator[Spot]:
    """A delivery is given up before one request to a broker could time out."""
    kafka = plan.settings.kafka
    if kafka.delivery_timeout.ms < kafka.request_timeout.ms:
        message = (
            f"`{kafka.delivery_timeout}` is less than a request, `{kafka.request_timeout}`"
        )
        yield Spot("$.kafka.delivery_timeout", message)


def threads_exceed_the_cpus(plan: Plan) -> Iterator[Spot]:
    """More threads than the processors of the machine that the check runs on."""
    threads = plan.settings.model.threads
    if threads != "auto" and threads > plan.cpus:
        message = f"{threads} threads share {plan.cpus} processors of this machine"
        yield Spot("$.model.threads", message)


# --- fallback --------------------------------------------------------------------------------


def rule_is_never_reached(plan: Plan) -> Iterator[Spot]:
    """A rule stands behind one that always holds, or that asks for the same."""
    rules = plan.settings.fallback.rules
    for index, rule in enumerate(rules):
        for earlier in rules[:index]:
            if _always_holds(earlier.when) or earlier.when == rule.when:
                holds = "always holds" if _always_holds(earlier.when) else "asks for the same"
                message = f"`{rule.name}` is never reached: `{earlier.name}` {holds}"
                yield Spot(f"$.fallback.rules[{index}]", message)
                break


def cache_is_never_asked(plan: Plan) -> Iterator[Spot]:
    """The cache comes after the rules, and one of them always holds."""
    fallback = plan.settings.fallback
    catch_all = next((rule for rule in fallback.rules if _always_holds(rule.when)), None)
    if fallback.cache is not None and catch_all is not None:
        yield Spot("$.fallback.cache", f"the rule `{catch_all.name}` before it always holds")


def _always_holds(when: object) -> bool:
    """Tell whether a condition holds for every event; only what can be seen without values."""
    if not isinstance(when, Mapping):
        return False
    return all(_entry_always_holds(name, asked) for name, asked in when.items())


def _entry_always_holds(name: object, asked: object) -> bool:
    if not isinstance(asked, list):
        return False
    inner = [_always_holds(when) for when in asked]
    return (name == "all" and all(inner)) or (name == "any" and any(inner))


# --- without effect --------------------------------------------------------------------------


def setting_has_no_effect(plan: Plan) -> Iterator[Spot]:
    """A setting that has no effect, here or in this version, is given a value of its own."""
    settings = plan.settings
    drift = settings.monitors.drift
    delivery, plain = settings.delivery, DeliverySettings()
    loose = delivery.mode == "at_least_once"
    changed = {
        "$.topics.signals": settings.topics.signals != "" and drift.signals == "none",
        "$.topics.state": settings.topics.state != "" and settings.monitors.state == "memory",
        "$.delivery.transaction_interval": loose
        and delivery.transaction_interval != plain.transaction_interval,
        "$.delivery.max_partitions": loose and delivery.max_partitions != plain.max_partitions,
        "$.delivery.commit_interval": not loose
        and delivery.commit_interval != plain.commit_interval,
    }
    for path, is_changed in changed.items():
        if is_changed:
            yield Spot(path, "is read, and nothing is done with it here")


def envelope_is_switched_off(plan: Plan) -> Iterator[Spot]:
    """Attributes of CloudEvents are given, and decisions are written without an envelope."""
    output = plan.settings.output
    if output.envelope == "none" and output.cloudevents != CloudEventSettings():
        message = "attributes that no decision gets: `output.envelope` is `none`"
        yield Spot("$.output.cloudevents", message)


def lateness_exceeds_the_windows(plan: Plan) -> Iterator[Spot]:
    """Events older than the longest window count nowhere, however long `lateness` is."""
    monitors = plan.settings.monitors
    longest = max(monitors.windows, key=lambda window: window.ms)
    if monitors.lateness.ms > longest.ms:
        message = f"`{monitors.lateness}` is longer than the longest window, `{longest}`"
        yield Spot("$.monitors.lateness", message)


def no_feature_is_watched(plan: Plan) -> Iterator[Spot]:
    """`monitors.features` is an empty list: no drift of any feature is seen."""
    if not plan.settings.monitors.features:
        yield Spot("$.monitors.features", "the list is empty, so no feature is watched")


_E, _W = Severity.ERROR, Severity.WARNING

CONFIG_CHECKS: Sequence[Check[Plan]] = (
    Check(credentials_go_in_clear, _E, "write `protocol: sasl_ssl`, and use the TLS listener"),
    Check(certificates_are_not_matched, _W, "have the brokers' names put into certificates"),
    Check(admin_is_open, _W, "write `127.0.0.1:9465`, or ask for `http.admin_token`"),
    Check(registry_password_goes_in_clear, _E, "write `https:`, and use the TLS listener"),
    Check(registry_extra_is_missing, _E, MEND_EXTRA),
    Check(registry_outlasts_the_shutdown, _W, "lower it, or raise `limits.shutdown`"),
    Check(traces_extra_is_missing, _E, MEND_TRACES),
    Check(trace_headers_go_in_clear, _W, "write `https:`, or a collector on this host"),
    Check(listeners_share_a_port, _E, "give each listener its own port"),
    Check(in_flight_is_below_a_batch, _W, "raise it to a few batches, or lower the batch"),
    Check(shutdown_outlasts_the_grace, _W, "shorten it, or raise the pod's grace period"),
    Check(shutdown_leaves_no_time, _W, "raise `limits.shutdown`, or lower `model.timeout`"),
    Check(session_timeout_is_unusual, _W, "write `45s`, or ask whoever runs the brokers"),
    Check(model_outlasts_a_rebalance, _W, "lower it, or raise `kafka.rebalance_timeout`"),
    Check(delivery_ends_before_a_request, _W, "raise it to a few times `request_timeout`"),
    Check(threads_exceed_the_cpus, _W, "write `auto`, or raise the CPU limit"),
    Check(rule_is_never_reached, _W, "move it up, or remove it"),
    Check(cache_is_never_asked, _W, "remove it, or make that rule the default"),
    Check(setting_has_no_effect, _W, "remove it"),
    Check(envelope_is_switched_off, _W, "write `envelope: cloudevents`, or remove them"),
    Check(lateness_exceeds_the_windows, _W, "shorten it to the longest window"),
    Check(no_feature_is_watched, _W, "write `all`, or name features"),
)
"""In the order of the reference page."""
