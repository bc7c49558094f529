"""The command ``completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM = "model-booster"
_VARIABLE = "_MODEL_BOOSTER_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    Load it when the shell starts, for instance with a line in ~/.bashrc:

    \b
    source <(model-booster completion bash)

    kubectl model-booster completes by itself, because kubectl finds the program
    kubectl_complete-model_booster.
    """  # noqa: D301  # click prints what follows the character \b as it is
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101  # click has all three
    click.echo(found(context.find_root().command, {}, PROGRAM, _VARIABLE).source())
