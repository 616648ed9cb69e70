"""The values of the chart: what a release may say, and what holds when it says nothing."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from sidecar.config.settings import SidecarSettings

Digest = Annotated[str, Meta(pattern=r"^(sha256:[0-9a-f]{64})?$")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Whole = Annotated[int, Meta(ge=1)]


class Part(Struct, kw_only=True, forbid_unknown_fields=True):
    """Base of every part: an unknown key is an error."""


class Image(Part):
    """The sidecar's image."""

    repository: str = "sidecar"
    """Where it is, without tag."""
    tag: str = ""
    """The chart's `appVersion` when empty."""
    digest: Digest = ""
    """Locks the image: the tag then is for people."""


class BundleImage(Part):
    """An image with a bundle in `/bundle`, and with `sh`, `cp` and `sha256sum`."""

    repository: str
    """Where it is, without tag."""
    tag: str
    """The version of the bundle, for people."""
    manifestSha256: Sha256  # noqa: N815 - a value of a chart
    """Digest of the bundle's `manifest.toml`; another bundle does not start."""
    digest: Digest = ""
    """Locks the image."""


class ObjectStore(Part):
    """A bucket with bundles that a CSI driver mounts, for reading only."""

    driver: str
    """Name of the CSI driver."""
    attributes: dict[str, str]
    """What the driver is told, such as `bucketName`."""


class Bundle(Part):
    """How the bundle gets into the pod, below `/models`: one of three ways."""

    claim: str = "sidecar-models"
    """A volume that is there; used when neither of the others is given."""
    image: BundleImage | None = None
    """Copied from an image to the place that `config.model.bundle` names."""
    objectStore: ObjectStore | None = None  # noqa: N815
    """Mounted from a bucket."""


class Resources(Part):
    """What the sidecar asks for, and what it gets at most."""

    requests: dict[str, str | int | float]
    """By `cpu` and `memory`."""
    limits: dict[str, str | int | float]
    """Likewise; the memory as requested."""


class NetworkPolicy(Part):
    """Who may talk to a sidecar that stands alone, and to whom it may."""

    enabled: bool = True
    """Whether there is one."""
    prometheus: str = "monitoring"
    """Namespace whose pods may scrape."""
    egress: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "kafka"}
                        }
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 9092, "endPort": 9094}],
            }
        ]
    )
    """Rules for the way to the brokers and to a schema registry; names are always allowed."""


class Autoscaling(Part):
    """Replicas by lag, with KEDA."""

    min: Whole
    """Fewest replicas."""
    max: Whole
    """Most replicas: no more than the events topic has partitions."""
    lag: Whole
    """Records of lag for each replica."""


class Monitoring(Part):
    """Rules and dashboards."""

    namespace: str
    """Where Prometheus and Grafana look for them."""


class Topics(Part):
    """Topics, user and rights, by Strimzi."""

    namespace: str
    """The one that Strimzi watches."""
    cluster: str
    """Name of the `Kafka` resource."""
    partitions: Whole
    """Of all topics but signals; never change it later."""
    replicas: Whole
    """Copies of each topic."""
    minInsyncReplicas: Whole  # noqa: N815
    """Copies that a write waits for."""


def _resources() -> Resources:
    return Resources(
        requests={"cpu": "250m", "memory": "512Mi"}, limits={"cpu": "2", "memory": "512Mi"}
    )


class Values(Part):
    """The values of the chart."""

    config: SidecarSettings
    """The sidecar's own config, as in its `sidecar.yaml`."""
    form: Literal["standalone", "native-sidecar", "ordinary-container"] = "standalone"
    """Alone, or beside a service: then the service's chart includes what its pods need."""
    image: Image = field(default_factory=Image)
    """The sidecar's image."""
    fullnameOverride: str = ""  # noqa: N815
    """Name of the objects; `<release>-sidecar` when empty."""
    replicas: Whole = 2
    """Replicas of a sidecar that stands alone, without `autoscaling`."""
    terminationGracePeriodSeconds: Whole = 35  # noqa: N815
    """More than `config.limits.shutdown`; for a native sidecar the service's time comes on
    top."""
    resources: Resources = field(default_factory=_resources)
    """By the rule in docs/performance.md."""
    secret: str = "sidecar-kafka"  # noqa: S105 - its name
    """Secret whose keys are files below `/run/secrets/sidecar`."""
    bundle: Bundle = field(default_factory=Bundle)
    """How the bundle gets into the pod."""
    networkPolicy: NetworkPolicy = field(default_factory=NetworkPolicy)  # noqa: N815
    """Of a sidecar that stands alone."""
    autoscaling: Autoscaling | None = None
    """Of a sidecar that stands alone; needs KEDA."""
    monitor: bool = False
    """Whether Prometheus' operator is told to scrape."""
    monitorLabels: dict[str, str] = field(default_factory=dict)  # noqa: N815
    """Labels by which Prometheus' operator finds scrapes and rules."""
    monitoring: Monitoring | None = None
    """Rules and dashboards; in one release of a cluster."""
    topics: Topics | None = None
    """Topics, user and rights; needs Strimzi."""
    # Helm gives it to every chart that is part of another.
    global_: dict[str, Any] = field(name="global", default_factory=dict)
    """Values of all charts of a release; none is used."""
