"""The quick start that `sidecar init` writes beside a config: what to type, and what comes."""

from sidecar.bundle.load import Bundle

PAGE = "QUICKSTART.md"

_TEXT = """\
# {name}: quick start

What is here: `sidecar.yaml`, the config; `sidecar.test.yaml`, its tests; `events.jsonl`, \
{events} events to try it with; `models/{version}`, the bundle of the model.

## A first decision, without Kafka

In this folder:

```sh
sidecar check sidecar.yaml
sidecar test sidecar.yaml
sidecar replay sidecar.yaml events.jsonl --decisions decisions.jsonl
```

`decisions.jsonl` has a decision for each event: label, score, and `source` and `reason`, which
say who answered and why. Rows of your own go the same way: `sidecar replay sidecar.yaml
rows.csv`, with columns named as the features.

## With Kafka

The topics, with the tools of your brokers:

```sh
{topics}
```

Then see that all is well, and run it; one terminal is taken by the second command:

```sh
sidecar check --connect sidecar.yaml
sidecar run sidecar.yaml
```

In another one, send the events and read what is decided, for example with kcat:

```sh
kcat -P -b $KAFKA_BROKER -t {name}.events -l events.jsonl
kcat -C -b $KAFKA_BROKER -t {name}.decisions -o beginning -e
```

## Next

* `sidecar.yaml` says in comments what is most likely changed: the threshold, the rules.
* Write a test for each rule into `sidecar.test.yaml`: `sidecar test` tells which has none.
* What became of events that were refused: `sidecar dlq list sidecar.yaml`.
"""


_TOPICS = (
    "events",
    "decisions",
    "dead-letters",
    "signals",
    "state --config cleanup.policy=compact --config segment.ms=600000",
)


def topic_commands(name: str) -> list[str]:
    """Give the commands that make the topics of a sidecar.

    Args:
        name: Of the model, which the topics' names begin with.
    """
    return [
        f"kafka-topics.sh --bootstrap-server $KAFKA_BROKER --create --topic {name}.{topic}"
        for topic in _TOPICS
    ]


def page_text(bundle: Bundle) -> str:
    """Write the page.

    Args:
        bundle: The one of the config.
    """
    name = bundle.manifest.name
    return _TEXT.format(
        name=name,
        version=bundle.manifest.version,
        events=len(bundle.golden),
        topics="\n".join(topic_commands(name)),
    )
