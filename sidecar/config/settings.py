"""Every setting: its meaning, unit, off switch, and the reason for its default.

`docs/configuration.md` and `schemas/config.json` are generated from these Structs.
"""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from sidecar.config.values import Address, ByteSize, Duration, Secret

# `title` says the pattern in words, for faults and the reference page. `positive` and `mend`
# are for the loader: msgspec has no limits for types of ours, and no advice.
Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        title="a name of letters, digits, `.`, `_` and `-`, at most 100",
    ),
]
Topic = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
        title="a topic name of letters, digits, `.`, `_` and `-`",
    ),
]
InstanceId = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9._-]{0,249}$",
        title="a name of letters, digits, `.`, `_` and `-`",
    ),
]
HostPort = Annotated[str, Meta(pattern=r"^[^\s,]+:\d{1,5}$", title="`host:port`")]
Span = Annotated[Duration, Meta(extra={"positive": True})]
Size = Annotated[ByteSize, Meta(extra={"positive": True})]
Scalar = str | int | float | bool


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section: frozen, and an unknown key is an error."""


class SaslSettings(Settings, frozen=True):
    """How the client proves who it is."""

    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
    """SASL mechanism that the brokers offer."""
    username: str = ""
    """User of PLAIN and SCRAM."""
    password: Secret | None = None
    """Password of PLAIN and SCRAM, as `{file: PATH}` or `{env: NAME}`."""
    token: Secret | None = None
    """OAUTHBEARER: where the current token stands; read again for each connection."""


class SecuritySettings(Settings, frozen=True):
    """TLS and authentication towards the brokers."""

    protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    """`sasl_plaintext` sends credentials in clear: only for tests."""
    ca_file: Path | None = None
    """PEM of the authority that signed the brokers' certificates; the system's authorities
    when absent."""
    certificate_file: Path | None = None
    """PEM of the client's certificate, for mutual TLS."""
    key_file: Path | None = None
    """PEM of the client's private key."""
    check_hostname: bool = True
    """Whether the broker's name must be in its certificate."""
    sasl: SaslSettings | None = None
    """Needed by the two `sasl_` protocols."""


class KafkaSettings(Settings, frozen=True):
    """Where the brokers are and how to get in."""

    bootstrap_servers: Annotated[list[HostPort], Meta(min_length=1)]
    """`host:port` of a few brokers."""
    group: str = ""
    """Consumer group; `<name>-sidecar` when empty."""
    security: SecuritySettings = SecuritySettings()
    """TLS and authentication."""
    instance_id: InstanceId = ""
    """Name of this replica within the group, such as `${HOSTNAME}`; off when empty. A replica
    that comes back under its name within `session_timeout` gets its partitions back, and no
    other one is disturbed. No two may have the same."""
    session_timeout: Span = Duration(45_000)
    """Silence after which the group gives our partitions away. A heartbeat goes out every
    fifteenth of it."""
    rebalance_timeout: Span = Duration(60_000)
    """How long the group waits for us to finish in-flight work when partitions move."""
    request_timeout: Span = Duration(30_000)
    """Longest wait for one answer of a broker before the connection counts as broken."""
    delivery_timeout: Span = Duration(120_000)
    """Longest wait for an acknowledgement; after it the producer is rebuilt and the records
    are sent again."""
    fetch_max_bytes: Size = ByteSize(8 << 20)
    """Most bytes of one fetch from one broker; bounds memory."""
    compression: Literal["none", "snappy", "zstd"] = "none"
    """Compression of what is written. lz4 and gzip are left out: this client writes them at a
    fixed, slow level."""


class TopicSettings(Settings, frozen=True):
    """Names of the topics.

    The defaults are `<name>.decisions`, `<name>.dead-letters`, `<name>.signals` and
    `<name>.state`.
    """

    events: Topic
    """Read: PredictionEvents."""
    decisions: Topic = ""
    """Written: one Decision per event."""
    dead_letters: Topic = ""
    """Written: refused records, untouched, with provenance headers."""
    signals: Topic = ""
    """Written: one Signal whenever drift begins or ends; see `monitors.drift.signals`. Where it
    is missing or may not be written, signals wait, failures are counted, and decisions go on;
    of very many the oldest are lost, which `sidecar_signals_lost_total` says."""
    state: Topic = ""
    """Written and read: the counts of the windows, compacted, for restarts and for the view of
    all replicas; see `monitors.state`."""


class DeliverySettings(Settings, frozen=True):
    """What is promised about each record."""

    mode: Literal["at_least_once", "exactly_once"] = "at_least_once"
    """`at_least_once`: an offset is committed only after the broker acknowledged what came of
    it. `exactly_once`: decisions, dead letters, counts and offsets become visible together, by
    transactions; readers must use `read_committed`."""
    transaction_interval: Span = Duration(500)
    """`exactly_once`: how long a transaction stays open, at least `100ms`. Readers see a
    decision when its transaction ends."""
    max_partitions: Annotated[int, Meta(ge=1, le=1_000)] = 32
    """`exactly_once`: most input partitions of one process that `sidecar check` accepts. Each
    has a producer of its own, with 2 to 4 connections."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group without committed offsets begins."""
    commit_interval: Span = Duration(1_000)
    """Offsets are committed this often, and besides after 5,000 records but for that
    at most four times a second, when partitions are revoked, and at the end."""


class KServeSettings(Settings, frozen=True):
    """How the requests and responses that KServe's payload logger wrote find each other."""

    max_wait: Span = Duration(60_000)
    """Longest wait of a request for its response, or of a response for its request, by the
    timestamps of the records of its partition; then it becomes a dead letter. While no records
    come, nothing is given up."""
    max_pending: Annotated[int, Meta(ge=1, le=1_000_000)] = 5_000
    """Most records that wait; beyond it the one that waits longest becomes a dead letter. They
    count as in flight, so it must be less than half of `limits.in_flight_records`."""
    look_back: Annotated[int, Meta(ge=0, le=10_000_000)] = 10_000
    """Records before the committed offset that are read once more whenever a partition comes,
    so that a response behind that offset finds a request before it; 0 turns it off."""
    label_outputs: list[str] = field(
        default_factory=lambda: ["label", "output_label", "predict"]
    )
    """Names of the output that holds the label: text, or the class or its index. The first that
    a response has counts."""
    score_outputs: list[str] = field(
        default_factory=lambda: [
            "probabilities",
            "output_probability",
            "predict_proba",
            "score",
        ]
    )
    """Names of the output that holds the scores: one for each class, of the last class of two,
    or the value of a regression. The first that a response has counts."""


class InputSettings(Settings, frozen=True):
    """What events may look like."""

    format: Literal["auto", "json", "msgpack", "cloudevents", "oip", "kserve"] = "auto"
    """`auto` goes by the record's headers, then by its first byte; what is no event and has
    `inputs` is read as a request of the Open Inference Protocol V2. `oip` reads such requests
    alone, bare or in CloudEvents. `json` and `msgpack` read bare events alone, `cloudevents`
    what comes in CloudEvents, `kserve` what KServe's payload logger writes, for *monitor* use:
    a request and its response are one event."""
    on_missing: Literal["reject", "flag", "fallback"] = "reject"
    """What an event without a required feature gets: it becomes a dead letter, is scored and
    flagged, or goes down the fallback chain."""
    on_out_of_range: Literal["score", "fallback"] = "score"
    """What an event gets that has a number beyond the range of the reference, or a category
    that the reference never had: it is scored all the same, or goes down the fallback chain
    as `out_of_distribution`."""
    kserve: KServeSettings = KServeSettings()
    """With `format: kserve`: how requests and responses find each other."""


class CloudEventSettings(Settings, frozen=True):
    """What the attributes of a CloudEvent say that are the same for every decision."""

    source: Annotated[
        str,
        Meta(pattern=r"^[!-~]{1,500}$", title="a URI reference without blanks, at most 500"),
    ] = ""
    """Attribute `source`: who decided, as a URI reference; `/sidecar/<name>` when empty."""
    type: Annotated[
        str,
        Meta(pattern=r"^[!-~]{1,500}$", title="a name without blanks, at most 500"),
    ] = "sidecar.decision.v1"
    """Attribute `type`; customarily begins with a domain of yours, as `org.example.`."""


class OutputSettings(Settings, frozen=True):
    """What decisions look like."""

    format: Literal["decision", "oip"] = "decision"
    """`decision` is a flat JSON object. `oip` is a response of the Open Inference Protocol V2,
    for readers that know that: a tensor each for label, score and confidence, and everything
    else in `parameters`. Record keys and decision ids are the same."""
    envelope: Literal["none", "cloudevents"] = "none"
    """`cloudevents` adds headers that make each decision a CloudEvent 1.0 in binary mode; its
    value is the same without them. Dead letters stay what came."""
    cloudevents: CloudEventSettings = CloudEventSettings()
    """Attributes of that envelope."""


class RegistrySettings(Settings, frozen=True):
    """The schema registry that producers write by: for Avro, Protobuf and JSON Schema.

    It needs the extra `registry` of this package.
    """

    url: Annotated[
        str,
        Meta(
            pattern=r"^https?://[^\s,@?#]+$",
            title="`https://host:port`, without a user",
        ),
    ]
    """Where the registry's REST interface begins, as the producers' `schema.registry.url`."""
    username: str = ""
    """User of HTTP basic authentication, or the key of an API."""
    password: Secret | None = None
    """Password of that user, as `{file: PATH}` or `{env: NAME}`."""
    ca_file: Path | None = None
    """PEM of the authority that signed the registry's certificate; the authorities that come
    with the client when absent."""
    certificate_file: Path | None = None
    """PEM of the client's certificate, for mutual TLS."""
    key_file: Path | None = None
    """PEM of the client's private key."""
    timeout: Span = Duration(5_000)
    """Longest wait for one schema and all that it refers to. Without an answer the batch waits
    and asks again, and nothing else is read."""
    max_schemas: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
    """Most schemas that are kept; the least recently used go first. Each is asked for once
    while it is kept."""
    unknown_for: Span = Duration(60_000)
    """How long a schema that the registry does not know, or that cannot be used, is not asked
    for again."""
    parallel: Annotated[int, Meta(ge=1, le=64)] = 4
    """Most questions to the registry at a time."""


class ModelSettings(Settings, frozen=True):
    """The model and how it is run."""

    bundle: Path
    """Folder of the model bundle; relative to the config file."""
    timeout: Span = Duration(500)
    """Longest run of one batch; after it the rows go down the fallback chain."""
    threads: Literal["auto"] | Annotated[int, Meta(ge=1, le=256)] = "auto"
    """Threads of one model run; `auto` is the CPU limit of the control group, rounded up, less
    one: the event loop has a processor of its own."""
    max_batch_records: Annotated[int, Meta(ge=1, le=65_536)] = 4_096
    """Most records that are decoded, scored and sent together. A batch never waits to fill."""
    linger: Duration = Duration(12)
    """Longest wait for more records while few come; 0 turns it off. It trades latency at low
    load for CPU: a round costs some milliseconds of CPU whatever its size."""
    warm_up_runs: Annotated[int, Meta(ge=0, le=100)] = 3
    """Runs on golden rows before the first event, so that the first batch is not slower than
    the others; 0 turns it off."""
    max_bytes: Size = ByteSize(1 << 30)
    """Largest model file that is loaded."""
    shadow: bool = False
    """Whether the model is also asked about events that bring a prediction, to measure how
    often it agrees with it. What it says goes into no decision, but the batch waits for it, as
    long as `timeout` at most; failures have a circuit breaker of their own."""


class TargetError(Settings, frozen=True):
    """A threshold chosen by what it costs."""

    target_error: Annotated[float, Meta(gt=0, lt=1)]
    """Share of wrong answers that is accepted among those the model may give. The threshold is
    looked up in the bundle's calibration."""


class ConfidenceSettings(Settings, frozen=True):
    """When the model may answer."""

    measure: Literal["max_probability", "margin", "entropy"] = "max_probability"
    """`max_probability`: of the chosen class; `margin`: distance to the second; `entropy`: one
    minus the entropy of all classes over its maximum. All 0 to 1, more is surer."""
    threshold: Share | TargetError = 0.0
    """Below it the fallback chain answers; 0 lets the model answer always."""


class OutcomeSettings(Settings, frozen=True):
    """What a rule or the default answers: a label, a score, or both."""

    label: str | None = None
    """The label of the decision; it need not be one of the model's."""
    score: float | None = None
    """The score of the decision; a regression has nothing else."""


class RuleSettings(OutcomeSettings, frozen=True, kw_only=True):
    """One fallback rule. The first whose condition holds gives the answer."""

    name: Name
    """Goes on the decision and into the metrics."""
    when: dict[str, object] = {}
    """Conditions by feature, all of which must hold, such as `{amount: {gt: 5000}}`.

    Operators: `eq`, `ne`, `gt`, `ge`, `lt`, `le`, `in`, `not_in`, `missing`. `any`, `all` and
    `not` nest. An empty one always holds."""


class CacheSettings(Settings, frozen=True):
    """The last confident decision per record key."""

    max_age: Span = Duration(600_000)
    """Oldest decision that may stand in, by event time."""
    max_entries: Annotated[int, Meta(ge=1, le=100_000_000)] = 100_000
    """Most keys that are kept; the least recently decided go first."""


class FallbackSettings(Settings, frozen=True):
    """What answers when the model may not: rules in order, then the cache, then the default."""

    rules: list[RuleSettings] = []
    """Tried in order."""
    cache: CacheSettings | None = None
    """Tried after the rules; off when absent."""
    default: OutcomeSettings = OutcomeSettings()
    """Answers when nothing else did; without a label the decision says so with null."""


class BreakerSettings(Settings, frozen=True):
    """When the model is left alone."""

    failures: Share = 0.5
    """Share of failed model calls that opens the circuit; 1 needs every call to fail."""
    window: Span = Duration(30_000)
    """Span over which the share is taken."""
    min_calls: Annotated[int, Meta(ge=1)] = 5
    """Calls that the window must hold before it may open."""
    probe_every: Span = Duration(5_000)
    """With the circuit open, one batch is tried this often."""


class DriftSettings(Settings, frozen=True):
    """When a difference counts as drift."""

    delta: Annotated[float, Meta(gt=0)] = 0.1
    """Population stability index that is tolerated: drift is *critical* when the window shows
    that the true one is larger. The customary 0.1 and 0.25 may stay."""
    warning_delta: Annotated[float, Meta(gt=0)] = 0.02
    """The same for drift that is a *warning*; less than `delta`."""
    false_discovery_rate: Annotated[float, Meta(gt=0, lt=1)] = 0.01
    """Share of false ones that is accepted among the subjects of a window that are found past
    their tolerance at one time. Also the chance that the critical value beside a score is
    passed with nothing drifting."""
    hold: Duration = Duration(300_000)
    """How long a subject must stay past its tolerance before an episode of drift begins, by
    event time; 0 begins at once."""
    resolve: Duration = Duration(1_800_000)
    """How long its excess must stay below half the tolerance before the episode ends, by event
    time; 0 ends at once."""
    dataset_share: Annotated[float, Meta(gt=0, le=1)] = 0.2
    """Share of the features whose drift makes that of the data set *critical*; it is a
    *warning* when any feature drifts."""
    signals: Literal["topic", "none"] = "topic"
    """Whether episodes are told on `topics.signals` when they begin and end. They are in the
    metrics and on the status page in any case."""


class DuplicateSettings(Settings, frozen=True):
    """Events that come more than once."""

    remember: Annotated[int, Meta(ge=0, le=10_000_000)] = 100_000
    """Event ids per partition that are remembered, the last ones; each takes up to 32 bytes.
    An id that comes again is a duplicate: it is counted, and decided as any other event. 0
    turns it off. A restart, and a partition that moves, forget the ids."""


class UsualSettings(Settings, frozen=True):
    """Shares that are usual, where the reference cannot know them."""

    rejected: Share = 0.0
    """Of the records: those that are refused."""
    stale: Share = 0.0
    """Of the events: those older than `freshness`."""
    duplicate: Share = 0.0
    """Of the events: those whose id was seen lately."""
    fallback: Share | None = None
    """Of the events that are the model's to decide: those that rules, cache or default
    decide. When absent, the share of the reference rows below the confidence threshold, by
    the bundle's calibration; without one, no band."""


class QualitySettings(Settings, frozen=True):
    """When the quality of the data counts as changed."""

    floor: Annotated[float, Meta(gt=0, lt=1)] = 0.001
    """What every share may be off by in truth, beyond what chance explains."""
    freshness: Span = Duration(600_000)
    """An event that was older than this when its record was written is stale."""
    duplicates: DuplicateSettings = DuplicateSettings()
    """Events that come more than once."""
    usual: UsualSettings = UsualSettings()
    """Shares that are usual, where the reference cannot know them."""


class MonitorSettings(Settings, frozen=True):
    """Rolling statistics over event time."""

    pane: Span = Duration(60_000)
    """Slice of event time that is counted together; windows slide by it."""
    windows: Annotated[list[Span], Meta(min_length=1, max_length=8)] = field(
        default_factory=lambda: [Duration(300_000), Duration(3_600_000), Duration(86_400_000)]
    )
    """Lengths of the rolling windows, each a multiple of `pane`."""
    lateness: Duration = Duration(600_000)
    """How far behind the newest event of its partition an event is still counted."""
    min_records: Annotated[int, Meta(ge=1)] = 200
    """Records that a window needs for a verdict. One that holds fewer grows backwards by whole
    panes until it has them, at most to the longest window."""
    features: Literal["all"] | list[str] = "all"
    """Features that are watched."""
    reference: Literal["auto", "overall", "seasonal"] = "auto"
    """What windows are compared with. `overall`: all reference rows; `seasonal`: those of the
    same hours of the week (UTC), which the bundle must have; `auto`: `seasonal` where it has
    them."""
    drift: DriftSettings = DriftSettings()
    """When a difference counts."""
    quality: QualitySettings = QualitySettings()
    """When the quality of the data counts as changed."""
    state: Literal["topic", "memory"] = "topic"
    """Where the counts live. `topic`: in `topics.state` too, so windows outlast a restart and
    every replica shows all partitions. `memory`: windows begin empty after a restart, and a
    replica shows its own partitions."""


class LimitSettings(Settings, frozen=True):
    """Bounds of what one process holds."""

    max_record_bytes: Size = ByteSize(1 << 20)
    """Largest value of an event; a larger one is a dead letter."""
    max_depth: Annotated[int, Meta(ge=2, le=500)] = 32
    """Deepest nesting of an event."""
    in_flight_records: Annotated[int, Meta(ge=1)] = 20_000
    """Most records per partition that are read and not yet acknowledged; a full partition is
    paused, the others go on."""
    dead_letter_share: Annotated[float, Meta(gt=0, le=1)] = 0.5
    """Share of refused records, over the last minute and at least 100 records, that makes the
    sidecar pause, so that a bad release of a producer is noticed; 1 never pauses."""
    dead_letter_pause: Duration = Duration(30_000)
    """How long that pause lasts before the next records are tried."""
    shutdown: Span = Duration(25_000)
    """Time from SIGTERM to the end, shared by all steps."""


class HttpSettings(Settings, frozen=True):
    """Two listeners: one for machines on the network, one for people on this host."""

    metrics: Address = Address("0.0.0.0", 9464)  # noqa: S104
    """`/metrics`, `/livez`, `/readyz`, `/startupz`."""
    admin: Address = Address("127.0.0.1", 9465)
    """Status page and API."""
    admin_token: Secret | None = None
    """Asked of whoever wants the status page or the API, as `Authorization: Bearer`; nobody is
    asked when absent. Probes never ask."""
    history: Span = Duration(3_600_000)
    """How far back the charts of the status page go. It is kept in memory: about 400 bytes per
    `history_step`."""
    history_step: Span = Duration(5_000)
    """Time between two points of the charts."""
    stream_clients: Annotated[int, Meta(ge=0, le=200)] = 16
    """Most viewers that are sent news without asking; a further one is answered 503."""
    stream_interval: Span = Duration(2_000)
    """Time between two pieces of news. One snapshot is taken for all viewers, and none while
    nobody looks."""
    decisions: Annotated[int, Meta(ge=0, le=1_000)] = 0
    """How many of the last decisions the status page shows, with why and how they were taken:
    a sample of at most three of each batch. 0 keeps none. Keys and event ids are shown as
    hashes."""
    decision_fields: list[str] = []
    """Features whose values are shown with them; the others never are."""
    ready_needs_kafka: bool = True
    """Whether `/readyz` fails while Kafka is away. Switch it off beside a model service: a pod
    is ready only when all its containers are, and Kafka's trouble must not take the service
    out."""


class HeaderSettings(Settings, frozen=True):
    """A header of HTTP that goes with every request, such as a key of an API."""

    name: Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$", title="a name")]
    """Its name."""
    value: Secret
    """Its value, as `{file: PATH}` or `{env: NAME}`; read when the process starts."""


class TraceSettings(Settings, frozen=True):
    """Where spans go, by OpenTelemetry's protocol over HTTP.

    It needs the extra `traces` of this package when `endpoint` is set.
    """

    endpoint: (
        Annotated[
            str,
            Meta(
                pattern=r"^https?://[^\s,@?#]+$",
                title="`http://host:4318/v1/traces`, without a user",
            ),
        ]
        | None
    ) = None
    """Whole URL that spans are posted to; no spans are made when absent."""
    headers: list[HeaderSettings] = []
    """Headers that go with each request to it."""
    ca_file: Path | None = None
    """PEM of the authority that signed the collector's certificate; the authorities that come
    with the client when absent."""
    certificate_file: Path | None = None
    """PEM of the client's certificate, for mutual TLS."""
    key_file: Path | None = None
    """PEM of the client's private key."""
    ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Share of the batches that get spans."""
    links: Annotated[int, Meta(ge=0, le=1_000)] = 128
    """Most events that the span of a batch is linked to; refused ones come first, then those
    that the fallback chain answered."""
    timeout: Span = Duration(10_000)
    """Longest time for one request, tries included. The path never waits for it."""
    interval: Span = Duration(5_000)
    """Longest time that a span waits to be sent."""
    queue: Annotated[int, Meta(ge=512, le=1_000_000)] = 2_048
    """Most spans that wait; what does not fit is left out."""
    propagate: bool = True
    """Whether decisions carry the trace context of their events, `traceparent` and
    `tracestate`, also without an `endpoint`."""


class LogSettings(Settings, frozen=True):
    """What is said while running."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["auto", "json", "text"] = "auto"
    """`auto` is text on a terminal and JSON elsewhere."""


class SidecarSettings(Settings, frozen=True, kw_only=True):
    """The config file."""

    name: Name | UnsetType = UNSET
    """Name of this sidecar in metrics, logs and client ids, and the default prefix of the
    consumer group and the topics; the bundle's name when absent."""
    kafka: KafkaSettings
    """Where the brokers are and how to get in."""
    topics: TopicSettings
    """Names of the topics."""
    model: ModelSettings
    """The model and how it is run."""
    delivery: DeliverySettings = DeliverySettings()
    """What is promised about each record."""
    input: InputSettings = InputSettings()
    """What events may look like."""
    output: OutputSettings = OutputSettings()
    """What decisions look like."""
    registry: RegistrySettings | None = None
    """The schema registry that producers write by; without it, records in Avro and Protobuf
    are dead letters."""
    confidence: ConfidenceSettings = ConfidenceSettings()
    """When the model may answer."""
    fallback: FallbackSettings = FallbackSettings()
    """What answers when the model may not."""
    breaker: BreakerSettings = BreakerSettings()
    """When the model is left alone."""
    monitors: MonitorSettings = MonitorSettings()
    """Rolling statistics over event time."""
    limits: LimitSettings = LimitSettings()
    """Bounds of what one process holds."""
    http: HttpSettings = HttpSettings()
    """The two listeners."""
    traces: TraceSettings = TraceSettings()
    """Spans, and the trace context that decisions carry."""
    log: LogSettings = LogSettings()
    """What is said while running."""
