"""The commands of the command line, in the order in which ``--help`` lists them.

A command is imported when it runs, so that ``--help`` and ``--version`` load no other code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from types import ModuleType


@dataclass(frozen=True)
class Entry:
    """Where a command is.

    Args:
        name: the word that users type.
        module: its module, below ``modelbooster.cli``; the command is its attribute ``name``,
            with an underscore for each dash.
        summary: the first sentence of its help, for the list of commands.
    """

    name: str
    module: str
    summary: str


COMMANDS = (
    Entry("validate", "files.validate", "Print what the webhook would answer, without a cluster."),
    Entry("render", "files.render", "Print the children, without a cluster."),
    Entry("crd", "files.crd", "Print the CustomResourceDefinition."),
    Entry("engine", "files.engine", "Print the flags of the engine in an image."),
    Entry("webhook", "processes", "Serve the admission webhook of ModelBoosters."),
    Entry("controller", "processes", "Reconcile ModelBoosters and their children."),
    Entry("run", "processes", "Run webhook and controller in one process, for development."),
)


class CommandTable(click.Group):
    """A group whose commands are imported when they are used.

    Args:
        entries: its commands, in order.
        attrs: the other arguments of ``click.Group``.
    """

    def __init__(self, *, entries: Sequence[Entry] = COMMANDS, **attrs: object) -> None:
        super().__init__(**attrs)  # type: ignore[arg-type]  # click's own arguments
        self.entries = {entry.name: entry for entry in entries}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names of the commands, in the order of the table."""
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports a command; None if there is none of that name."""
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        module: ModuleType = import_module(f"modelbooster.cli.{entry.module}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)  # noqa: S101  # narrows the type
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(entry.name, entry.summary) for entry in self.entries.values()])
