"""`sidecar completion SHELL`: the script that lets a shell complete commands and options."""

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from sidecar.cli.choice import Choice

_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command()
@click.argument("shell", type=Choice(list(_SHELLS)))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell.

    \b
      bash  eval "$(sidecar completion bash)"     in ~/.bashrc
      zsh   eval "$(sidecar completion zsh)"      in ~/.zshrc
      fish  sidecar completion fish | source      in ~/.config/fish/config.fish

    Example: sidecar completion bash
    """  # noqa: D301  the backspace is click's mark for lines that stay as they are
    root = ctx.find_root().command
    click.echo(_SHELLS[shell](root, {}, "sidecar", "_SIDECAR_COMPLETE").source())
