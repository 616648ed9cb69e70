"""`sidecar schema`: the schemas of records and config, and what describes topics and API."""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from sidecar.cli.choice import Choice
from sidecar.pipeline.asyncapi import asyncapi, asyncapi_text
from sidecar.pipeline.schemas import NAMES, Schema, schema_text
from sidecar.pipeline.schemas import schema as json_schema
from sidecar.telemetry.openapi import openapi, openapi_text


class Document(NamedTuple):
    """What can be printed."""

    file: str
    tree: Callable[[], Schema]
    text: Callable[[], str]


DOCUMENTS: Mapping[str, Document] = {
    **{
        name: Document(
            f"{name}.json",
            functools.partial(json_schema, name),
            functools.partial(schema_text, name),
        )
        for name in NAMES
    },
    "asyncapi": Document("asyncapi.yaml", asyncapi, asyncapi_text),
    "openapi": Document("openapi.json", openapi, openapi_text),
}
"""By name; the file is that of `--write`."""


@click.command()
@click.argument("name", required=False, type=Choice(list(DOCUMENTS)))
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a file for each into this folder instead of printing.",
)
def schema(name: str | None, folder: Path | None) -> None:
    """Print the JSON Schema of a record, of the config or of its tests.

    `asyncapi` is the AsyncAPI 3 document of the topics, in YAML; `openapi` is the OpenAPI 3.1
    document of the HTTP API. Without NAME prints all of
    them, as one JSON object by name.

    Example: sidecar schema config
    """
    chosen = {name: DOCUMENTS[name]} if name else DOCUMENTS
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in chosen.values():
            (folder / each.file).write_text(each.text(), encoding="utf-8")
    elif name:
        click.echo(DOCUMENTS[name].text(), nl=False)
    else:
        trees = {each: document.tree() for each, document in chosen.items()}
        click.echo(json.dumps(trees, indent=2, ensure_ascii=False))
