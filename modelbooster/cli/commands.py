"""The commands of the command line, in the order in which ``--help`` lists them.

A command is imported when it runs, so that ``--help`` and ``--version`` load no other code, not
even click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

SUMMARIES = {
    "validate": "Print what the webhook would answer, without a cluster.",
    "render": "Print the children, without a cluster.",
    "crd": "Print the CustomResourceDefinition.",
    "engine": "Print the flags of the engine in an image.",
    "webhook": "Serve the admission webhook of ModelBoosters.",
    "controller": "Reconcile ModelBoosters and their children.",
    "run": "Run webhook and controller in one process, for development.",
}
"""The first sentence of each command's help, for the list of commands. A test compares them."""

_HELP = """\
Usage: model-booster [OPTIONS] COMMAND [ARGS]...

  Serve language models on Kubernetes, each from one ModelBooster object.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""


def overview() -> str:
    """Returns the help of the program: its options and its commands."""
    width = max(map(len, SUMMARIES)) + 2
    return _HELP + "".join(f"  {name:{width}}{text}\n" for name, text in SUMMARIES.items())


def load(name: str) -> click.Command:
    """Imports a command."""
    command: click.Command
    match name:
        case "validate":
            from modelbooster.cli.files.validate import validate as command
        case "render":
            from modelbooster.cli.files.render import render as command
        case "crd":
            from modelbooster.cli.files.crd import crd as command
        case "engine":
            from modelbooster.cli.files.engine import engine as command
        case "webhook":
            from modelbooster.cli.processes import webhook as command
        case "controller":
            from modelbooster.cli.processes import controller as command
        case "run":
            from modelbooster.cli.processes import run as command
        case _:
            raise AssertionError(f"{name} is not loaded")
    return command
