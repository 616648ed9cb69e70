"""The numbers that alerts compare with, read from the rules."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yaml"
_COLOURS = {"critical": "red", "warning": "orange"}


class Limit(NamedTuple):
    """A number from which on a panel changes its colour."""

    value: float
    colour: str


def alerts() -> dict[str, dict[str, Any]]:
    """Give the alerting rules by name."""
    groups: list[dict[str, Any]] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def limit(alert: str, query: str, *, product: bool = False) -> Limit:
    """Give what an alert lets a query reach, in the colour of its severity.

    Args:
        alert: Its name.
        query: The end of what stands before the comparison.
        product: Whether a factor and the budget are both wanted, multiplied; else the first.

    Raises:
        ValueError: The alert compares no such thing.
    """
    rule = alerts()[alert]
    found = re.search(re.escape(query) + r" > ([\d.]+)(?: \* ([\d.]+))?", rule["expr"])
    if found is None:
        raise ValueError(f"{alert} does not compare `{query}` with a number")
    value = float(found[1]) * (float(found[2]) if product and found[2] else 1.0)
    return Limit(value, _COLOURS[rule["labels"]["severity"]])


def flag(alert: str) -> Limit:
    """Give the limit of something that is 1 while the alert may fire."""
    return Limit(1.0, _COLOURS[alerts()[alert]["labels"]["severity"]])


def in_time() -> Limit:
    """Give the age in seconds up to which an answer is in time."""
    rules = RULES.read_text(encoding="utf-8")
    (bound,) = set(re.findall(r'sidecar_event_age_seconds_bucket\{le="([\d.]+)"', rules))
    return Limit(float(bound), "red")
