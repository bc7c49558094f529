"""What makes ``create`` a command and a group at once."""

from __future__ import annotations

from typing import Any

import click

_MANIFEST = "manifest"


class ModelArgument(click.Argument):
    """The argument MODEL, which is no part of the path of the subcommand."""

    def get_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Returns the usage of the argument."""
        return [] if ctx.info_name == _MANIFEST else super().get_usage_pieces(ctx)


class CommandOrManifest(click.Group):
    """``create MODEL``, ``create --from COMMAND``, and ``create manifest`` of kthena's own tool.

    A group takes its first argument for a command. This one is a command, unless it is called with
    the name of its only subcommand.
    """

    allow_extra_args = False
    allow_interspersed_args = True

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the name of the subcommand."""
        return [_MANIFEST]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the subcommand; None for other names."""
        if cmd_name != _MANIFEST:
            return None
        from modelbooster.cli.catalog.manifest import manifest

        return manifest

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Hands over to the subcommand if that is called."""
        if args[:1] == [_MANIFEST]:
            from modelbooster.cli.catalog.manifest import manifest

            context: click.Context = manifest.make_context(
                f"{info_name} {_MANIFEST}", args[1:], parent, **extra
            )
            return context
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the arguments as those of a command."""
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        return click.Command.invoke(self, ctx)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Returns the usage of a command."""
        return click.Command.collect_usage_pieces(self, ctx)
