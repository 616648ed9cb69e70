"""Who does the same job: each in an environment of its own, told over its standard input."""

from typing import NamedTuple


class Contestant(NamedTuple):
    """One tool and where it runs."""

    name: str
    module: str
    """Serves its cases when it is run."""
    requirements: str | None
    """Its locked requirements, beside this package; None for the environment of this run."""


CONTESTANTS = (
    Contestant("sidecar", "product", None),
    Contestant("evidently", "evidently_tool", "evidently.txt"),
    Contestant("nannyml", "nannyml_tool", "nannyml.txt"),
    Contestant("river", "river_tool", "river.txt"),
)
