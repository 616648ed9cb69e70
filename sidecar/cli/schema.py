"""`sidecar schema`: the schemas of records and config."""

from pathlib import Path

import click

from sidecar.pipeline.schemas import NAMES, schema_text


@click.command()
@click.argument("name", required=False, type=click.Choice(NAMES))
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write NAME.json files into this folder instead of printing.",
)
def schema(name: str | None, folder: Path | None) -> None:
    """Print the JSON Schema of a record, of the config or of its tests.

    Without NAME prints all of them, as one object by name.

    Example: sidecar schema config
    """
    names = (name,) if name else NAMES
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for each in names:
            (folder / f"{each}.json").write_text(schema_text(each), encoding="utf-8")
    elif name:
        click.echo(schema_text(name), nl=False)
    else:
        members = (f'"{each}": {schema_text(each).rstrip()}' for each in names)
        click.echo("{" + ",\n".join(members) + "}")
