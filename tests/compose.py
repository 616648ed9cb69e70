"""Reads the compose file: its services, what they mount, and the topics that it makes."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.image.dockerfile import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


class Topic(NamedTuple):
    """One that the compose file makes."""

    name: str
    partitions: int
    config: Mapping[str, str]


def mounts(service: str) -> dict[Path, str]:
    """Give the files and folders of this repository that a service sees, and where."""
    found = (entry.split(":") for entry in SERVICES[service].get("volumes", []))
    return {(DEPLOY / parts[0]).resolve(): parts[1] for parts in found if "/" in parts[0]}


def mounted_at(service: str, target: str) -> Path:
    """Give what is mounted at a path, or at a folder above it."""
    for source, place in mounts(service).items():
        if target == place:
            return source
        if target.startswith(f"{place}/"):
            return source / target.removeprefix(f"{place}/")
    raise KeyError(target)


def topics() -> list[Topic]:
    """Give the topics that the service `topics` makes."""
    (script,) = SERVICES["topics"]["command"]
    lines = re.findall(r"^topic (\S+) --partitions (\d+)(.*)$", script, re.MULTILINE)
    return [
        Topic(name, int(count), dict(re.findall(r"--config ([\w.]+)=(\S+)", rest)))
        for name, count, rest in lines
    ]
