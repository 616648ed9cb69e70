"""Repo: the script makes the topics and gives the rights that stand in Strimzi's resources."""

import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
TOPICS = DEPLOY / "kubernetes" / "topics"
Right = tuple[str, str, str, str]
"""Kind, name, pattern, operation."""


def called(folder: Path) -> list[list[str]]:
    """Run the script with commands that write down what they are told."""
    log = folder / "log"
    for name in ("kafka-topics.sh", "kafka-acls.sh"):
        words = 'for word in "$@"; do printf "%s\\037" "$word" >>"$LOG"; done'
        (folder / name).write_text(f'#!/bin/sh\n{words}\necho >>"$LOG"\n')
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "LOG": str(log)}
    subprocess.run(
        [DEPLOY / "kafka" / "topics.sh"],
        env={**environment, "BOOTSTRAP": "broker:9092", "NAME": "credit"},
        check=True,
        timeout=20,
    )
    return [line.split("\037")[:-1] for line in log.read_text().splitlines()]


def values(words: list[str], option: str) -> list[str]:
    return [after for word, after in pairwise(words) if word == option]


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((TOPICS / name).read_text(encoding="utf-8")))


def test_the_topics_are_the_same(tmp_path: Path) -> None:
    made = {
        values(words, "--topic")[0]: (
            values(words, "--partitions"),
            values(words, "--replication-factor"),
            sorted(values(words, "--config")),
        )
        for words in called(tmp_path)
        if "--create" in words
    }

    assert made == {
        each["metadata"]["name"]: (
            [str(each["spec"]["partitions"])],
            [str(each["spec"]["replicas"])],
            sorted(f"{key}={value}" for key, value in each["spec"]["config"].items()),
        )
        for each in documents("topics.yaml")
    }


def test_the_rights_are_the_same(tmp_path: Path) -> None:
    (user,) = documents("user.yaml")

    assert set(given(called(tmp_path))) == set(asked(user["spec"]["authorization"]["acls"]))


def given(calls: list[list[str]]) -> Iterator[Right]:
    for words in calls:
        pattern = (values(words, "--resource-pattern-type") or ["literal"])[0]
        for operation in values(words, "--operation"):
            for kind in ("topic", "group"):
                for name in values(words, f"--{kind}"):
                    yield kind, name, pattern.removesuffix("ed"), operation


def asked(acls: list[dict[str, Any]]) -> Iterator[Right]:
    for acl in acls:
        of = acl["resource"]
        for operation in acl["operations"]:
            yield of["type"], of["name"], of.get("patternType", "literal"), operation
