"""The lines of the table: each a config, a model and a topic, beside the line it is held to."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from loadtests.contestants import HERE, Contestant
from loadtests.scenarios.bundles import WIDTHS
from loadtests.scenarios.inputs import median_confidence
from loadtests.topics import PARTITIONS

Sections = Mapping[str, Mapping[str, Any] | None]

PLAIN: Sections = {"confidence": None, "fallback": None}
"""The model answers always: for models without the features of the rules."""


@dataclass(frozen=True, slots=True)
class Line:
    """One run of the sidecar that is compared with another one."""

    name: str
    what: str
    events: str = "json"
    """Which of `inputs.SOURCES`."""
    bundle: str = "trees"
    """Which of `bundles.BUNDLES`."""
    sections: Sections = field(default_factory=dict)
    """Sections of the config in place of those of `sidecar.yaml`; None takes one out."""
    partitions: int = PARTITIONS
    beside: str = "normal"
    """The line that its ratios are over."""
    aim: float | None = None
    """Least throughput per CPU, of the line beside it."""
    size: float = 1.0
    """Of the usual number of events: fewer where each costs more."""
    cores: tuple[int, ...] = ()
    """A process pinned to each; none: one process, not pinned."""


def own_cores() -> tuple[int, ...]:
    """Give the first two cores that this process may use, or the only one."""
    return tuple(sorted(os.sched_getaffinity(0))[:2])


def lines() -> tuple[Line, ...]:
    """Give all lines; a threshold in them is measured on the model's own answers."""
    half = {"threshold": round(median_confidence(), 6)}
    everything = [{"name": "everything", "when": {}, "label": "default"}]
    cache = {"cache": {"max_age": "1d", "max_entries": 100_000}}
    default = {"default": {"label": "default"}}
    never = {"dead_letter_share": 1.0}
    cores = own_cores()
    two = Line(
        "pinned-2",
        "two processes on a core each, half of the partitions each",
        cores=cores,
        beside="pinned-1",
        aim=0.9,
    )
    return (
        Line("normal", "the config of the race"),
        Line(
            "circuit-open",
            "every run of the model is over `model.timeout`, one millisecond; a rule, the "
            "cache or the default answers",
            sections={"model": {"timeout": "1ms"}},
            aim=0.8,
        ),
        Line("rejected-1", "one record in 100 is cut off", "malformed-1", aim=0.8),
        Line(
            "rejected-100",
            "every record is cut off; no pause",
            "malformed-100",
            sections={"limits": never},
            aim=0.8,
        ),
        Line(
            "rules-50",
            "a rule answers for the half of which the model is least sure",
            sections={"confidence": half, "fallback": {"rules": everything}},
            aim=0.8,
        ),
        Line(
            "cache",
            "the model is never sure, and the cache knows every customer",
            "cached",
            sections={"confidence": half, "fallback": {**cache, **default}},
            aim=0.8,
        ),
        Line(
            "exactly-once",
            "transactions of half a second",
            sections={"delivery": {"mode": "exactly_once", "transaction_interval": "500ms"}},
            aim=0.85,
        ),
        Line(
            "windows-slide",
            "the same events over 3 hours: panes close, short windows are full and slide",
            "spread",
            aim=0.9,
        ),
        Line("msgpack", "events in MessagePack, features by name", "msgpack"),
        Line("logistic", "a logistic regression over the same events", bundle="logistic"),
        Line(
            "strings",
            "a logistic regression over four named inputs, two of them text",
            "shop",
            "shop",
            PLAIN,
        ),
        *(
            Line(
                f"features-{width}",
                f"a logistic regression over {width} columns of five characters",
                f"wide{width}",
                f"wide{width}",
                PLAIN,
                beside="features-16",
                size=min(1.0, 48 / width),
            )
            for width in WIDTHS
        ),
        *(
            Line(
                f"partitions-{count}",
                f"{count} partitions",
                partitions=count,
                aim=0.9,
            )
            for count in (16, 64)
        ),
        Line("pinned-1", "one process on one core", cores=cores[:1]),
        *([two] if len(cores) > 1 else []),
    )


def sidecar(line: Line, folder: Path) -> Contestant:
    """Give the sidecar with the line's config, written into `folder`."""
    config = yaml.safe_load((HERE / "sidecar.yaml").read_text())
    for name, section in line.sections.items():
        if section is None:
            config.pop(name, None)
        elif name == "fallback":  # whole: a line names all that may answer
            config[name] = section
        else:
            config[name] = {**config.get(name, {}), **section}
    path = folder / f"{line.name}.yaml"
    path.write_text(yaml.safe_dump(config))
    command: tuple[str, ...] = (sys.executable, "-m", "sidecar", "run", str(path))
    if line.cores:
        cores = ",".join(map(str, line.cores))
        command = (sys.executable, "-m", "loadtests.scenarios.fleet", cores, str(path))
    return Contestant(line.name, line.what, command, config=path, scraped=True)
