"""Settings that are fine alone and wrong together.

Each check names as parameters the settings of its section that it looks at, and yields what
clashes. `CHECKS` says which section it belongs to.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from sidecar.config import settings
from sidecar.config.convert import Check, Clash
from sidecar.config.values import Duration, Secret

_SHORTEST_TRANSACTION_MS = 100
_MOST_SAMPLES = 5_000


def windows_are_multiples_of_the_pane(
    pane: Duration, windows: Sequence[Duration]
) -> Iterator[Clash]:
    """A window is a sum of whole panes."""
    for index, window in enumerate(windows):
        if window.ms % pane.ms:
            message = f"`{window}` is no multiple of the pane, `{pane}`"
            nearest = Duration(max(1, round(window.ms / pane.ms)) * pane.ms)
            yield Clash(f".windows[{index}]", message, f"write for example `{nearest}`")


def windows_rise(windows: Sequence[Duration]) -> Iterator[Clash]:
    """Windows are named by their length and shown shortest first."""
    lengths = [window.ms for window in windows]
    if lengths != sorted(set(lengths)):
        rising = ", ".join(str(Duration(ms)) for ms in sorted(set(lengths)))
        message = "windows stand twice or out of order"
        yield Clash(".windows", message, f"write `[{rising}]`")


def sasl_goes_with_its_protocol(
    protocol: str, sasl: settings.SaslSettings | None
) -> Iterator[Clash]:
    """The `sasl_` protocols need credentials, and the others would not use them."""
    if protocol.startswith("sasl_") and sasl is None:
        yield Clash(".sasl", f"missing, and `{protocol}` needs it", "add the section `sasl`")
    if not protocol.startswith("sasl_") and sasl is not None:
        message = f"credentials that the protocol `{protocol}` does not use"
        yield Clash(".sasl", message, "write `protocol: sasl_ssl`, or remove the section")


def credentials_fit_the_mechanism(
    mechanism: str, username: str, password: Secret | None, token: Secret | None
) -> Iterator[Clash]:
    """OAUTHBEARER shows a token, all others a user and a password."""
    needed: dict[str, object] = {".token": token}
    if mechanism != "OAUTHBEARER":
        needed = {".username": username or None, ".password": password}
    for at, value in needed.items():
        if value is None:
            yield Clash(at, f"missing, and `{mechanism}` needs it", f"add `{at[1:]}`")


def certificate_and_key_go_together(
    certificate_file: Path | None, key_file: Path | None
) -> Iterator[Clash]:
    """A certificate proves nothing without its key."""
    if (certificate_file is None) != (key_file is None):
        given, lacking = "certificate_file", "key_file"
        if certificate_file is None:
            given, lacking = lacking, given
        yield Clash(f".{given}", f"stands without `{lacking}`", f"add `{lacking}`")


def tls_files_go_with_tls(
    protocol: str,
    ca_file: Path | None,
    certificate_file: Path | None,
    key_file: Path | None,
) -> Iterator[Clash]:
    """Files for TLS beside a protocol in clear mean that somebody expects TLS."""
    if protocol.endswith("ssl") or not (ca_file or certificate_file or key_file):
        return
    secure = "sasl_ssl" if protocol == "sasl_plaintext" else "ssl"
    message = f"`{protocol}` goes in clear, and does not use the files for TLS"
    yield Clash(".protocol", message, f"write `{secure}`, or remove the files")


def registry_files_go_with_https(
    url: str,
    ca_file: Path | None,
    certificate_file: Path | None,
    key_file: Path | None,
) -> Iterator[Clash]:
    """Files for TLS beside an address in clear mean that somebody expects TLS."""
    if not url.startswith("https:") and (ca_file or certificate_file or key_file):
        message = "goes in clear, and does not use the files for TLS"
        yield Clash(".url", message, "write `https:`, or remove the files")


def trace_files_go_with_https(
    endpoint: str | None,
    ca_file: Path | None,
    certificate_file: Path | None,
    key_file: Path | None,
) -> Iterator[Clash]:
    """Files for TLS beside an address in clear mean that somebody expects TLS."""
    in_clear = endpoint is not None and not endpoint.startswith("https:")
    if in_clear and (ca_file or certificate_file or key_file):
        message = "goes in clear, and does not use the files for TLS"
        yield Clash(".endpoint", message, "write `https:`, or remove the files")


def registry_user_and_password_go_together(
    username: str, password: Secret | None
) -> Iterator[Clash]:
    """One of them alone proves nothing."""
    if bool(username) != (password is not None):
        given, lacking = ("username", "password") if username else ("password", "username")
        yield Clash(f".{given}", f"stands without `{lacking}`", f"add `{lacking}`")


def rules_have_names_of_their_own(rules: Sequence[settings.RuleSettings]) -> Iterator[Clash]:
    """A decision names its rule, and so do the metrics."""
    names = [rule.name for rule in rules]
    for index, name in enumerate(names):
        if name in names[:index]:
            message = f"a rule before it is named `{name}` too"
            yield Clash(f".rules[{index}].name", message, "give each rule its own name")


def a_rule_answers(label: str | None, score: float | None) -> Iterator[Clash]:
    """A rule that answers nothing is a mistake."""
    if label is None and score is None:
        yield Clash("", "the rule answers nothing", "add `label`, `score` or both")


def topics_differ(
    events: str, decisions: str, dead_letters: str, signals: str, state: str
) -> Iterator[Clash]:
    """Two kinds of records never share a topic; what is read is never written."""
    topics = {
        "events": events,
        "decisions": decisions,
        "dead_letters": dead_letters,
        "signals": signals,
        "state": state,
    }
    seen: dict[str, str] = {}
    for key, topic in topics.items():
        if topic and topic in seen:
            message = f"`{topic}` is the topic of `{seen[topic]}` too"
            yield Clash(f".{key}", message, "give each its own topic")
        seen.setdefault(topic, key)


def a_warning_comes_first(delta: float, warning_delta: float) -> Iterator[Clash]:
    """What is worth a warning is less than what is critical."""
    if warning_delta >= delta:
        message = f"`{warning_delta:g}` is not less than `delta`, `{delta:g}`"
        yield Clash(".warning_delta", message, f"write for example `{delta / 5:g}`")


def a_transaction_is_not_too_short(transaction_interval: Duration) -> Iterator[Clash]:
    """The next transaction waits until the last one is over at the brokers."""
    if transaction_interval.ms < _SHORTEST_TRANSACTION_MS:
        message = f"`{transaction_interval}` is shorter than a transaction takes to end"
        yield Clash(".transaction_interval", message, "write `100ms` or more")


def exactly_once_keeps_its_counts(
    delivery: settings.DeliverySettings, monitors: settings.MonitorSettings
) -> Iterator[Clash]:
    """What is counted and then not committed must be taken back, which needs what is stored."""
    if delivery.mode == "exactly_once" and monitors.state == "memory":
        message = "`memory` cannot take back what a transaction that failed has counted"
        yield Clash(".monitors.state", message, "write `topic`, or `mode: at_least_once`")


def exactly_once_joins_nothing(
    delivery: settings.DeliverySettings, input: settings.InputSettings
) -> Iterator[Clash]:
    """A request that waits is read again after a restart, and its transaction is over."""
    if delivery.mode == "exactly_once" and input.format == "kserve":
        message = "`exactly_once` cannot wait for the other half of a pair"
        yield Clash(".delivery.mode", message, "write `at_least_once`")


def what_waits_leaves_room(
    input: settings.InputSettings, limits: settings.LimitSettings
) -> Iterator[Clash]:
    """A full partition is paused until half of it is done; what waits may not block it."""
    most, in_flight = input.kserve.max_pending, limits.in_flight_records
    if input.format == "kserve" and 2 * most >= in_flight:
        message = f"`{most}` is not less than half of `limits.in_flight_records`, `{in_flight}`"
        yield Clash(".input.kserve.max_pending", message, "lower it, or raise that limit")


def history_is_bounded(history: Duration, history_step: Duration) -> Iterator[Clash]:
    """The history is held in memory and sent to each page that is opened."""
    if history.ms > _MOST_SAMPLES * history_step.ms:
        points = f"{-(-history.ms // history_step.ms):,}"
        message = f"gives {points} points, and {_MOST_SAMPLES:,} is the most that is kept"
        step = Duration(-(-history.ms // _MOST_SAMPLES))
        yield Clash(".history_step", message, f"write `{step}` or more")


CHECKS: Mapping[type[Struct], Sequence[Check]] = {
    settings.SidecarSettings: (
        exactly_once_keeps_its_counts,
        exactly_once_joins_nothing,
        what_waits_leaves_room,
    ),
    settings.DeliverySettings: (a_transaction_is_not_too_short,),
    settings.MonitorSettings: (windows_are_multiples_of_the_pane, windows_rise),
    settings.HttpSettings: (history_is_bounded,),
    settings.DriftSettings: (a_warning_comes_first,),
    settings.SecuritySettings: (
        sasl_goes_with_its_protocol,
        certificate_and_key_go_together,
        tls_files_go_with_tls,
    ),
    settings.RegistrySettings: (
        registry_user_and_password_go_together,
        certificate_and_key_go_together,
        registry_files_go_with_https,
    ),
    settings.TraceSettings: (trace_files_go_with_https, certificate_and_key_go_together),
    settings.SaslSettings: (credentials_fit_the_mechanism,),
    settings.TopicSettings: (topics_differ,),
    settings.FallbackSettings: (rules_have_names_of_their_own,),
    settings.RuleSettings: (a_rule_answers,),
}
