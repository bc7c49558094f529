"""The commands ``get`` and ``describe``, as far as they are about templates."""

from __future__ import annotations

import click

from app.errors import UsageError
from modelbooster.cli.output import FORMATS

_output = click.option("-o", "--output", type=click.Choice(FORMATS), help="Format of the output.")


@click.command()
@click.argument("kind", metavar="templates|template")
@click.argument("name", required=False)
@_output
def get(kind: str, name: str | None, output: str | None) -> None:
    """Print the templates of the catalogue."""
    from modelbooster.cli.catalog.templates import print_template, print_templates

    if kind == "templates" and name is None:
        print_templates(output or "table")
    elif kind in ("template", "templates") and name is not None:
        print_template(name, output)
    else:
        raise UsageError('write "get templates", or "get template NAME"')


@click.command()
@click.argument("kind", metavar="template")
@click.argument("name")
def describe(kind: str, name: str) -> None:
    """Print all that is known of a template."""
    from modelbooster.cli.catalog.templates import describe_template

    if kind not in ("template", "templates"):
        raise UsageError('write "describe template NAME"')
    describe_template(name)
