"""A closed list as an option or argument."""

from collections.abc import Sequence
from typing import Any

import click

from sidecar.errors import did_you_mean


class Choice(click.Choice[str]):
    """One word of a list; another one is refused with the nearest that there is."""

    def __init__(self, words: Sequence[str]) -> None:
        """Keep the list."""
        super().__init__(words)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Give the word.

        Raises:
            click.BadParameter: It is not in the list.
        """
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as refused:
            near = did_you_mean(value, map(str, self.choices))
            message = f"{refused.message} {near[:1].upper()}{near[1:]}".rstrip()
            raise click.BadParameter(message, ctx, param) from None
