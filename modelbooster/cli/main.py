"""The command line. Other tools depend on its commands, options, output and exit codes.

Exit codes: 0 everything was accepted or rendered; 1 an object was refused or the command failed;
2 wrong arguments or settings. Results go to stdout, everything else to stderr.

The commands are in ``commands.py``; those in ``files`` need no cluster. Commands import what they
need when they run, because loading the Kubernetes client takes longer than these commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from app.version import VERSION
from modelbooster.cli.commands import SUMMARIES, load, overview, program_name
from modelbooster.cli.failures import known_errors_end_the_process


class CommandTable(click.Group):
    """A group whose commands are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands, in the order of the table."""
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None if there is none of that name."""
        return load(cmd_name) if cmd_name in SUMMARIES else None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the same help as ``--help`` does without importing click."""
        formatter.write(overview(ctx.command_path))


def _print_version(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(f"model-booster, version {VERSION}")
        context.exit()


@click.group(cls=CommandTable, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Serve language models on Kubernetes, each from one ModelBooster object."""


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process. Known errors are printed without a traceback.

    Args:
        args: arguments after the program name; those of this process if None.
    """
    if sys.stdout is None:  # closed by the shell: command >&-
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the end
    with known_errors_end_the_process():
        cli(args=args, prog_name=program_name(sys.argv[0]))
