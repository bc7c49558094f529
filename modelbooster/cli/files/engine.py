"""The command ``engine``."""

from __future__ import annotations

import sys

import click

from app.errors import UsageError
from modelbooster.cli.failures import REFUSED


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("image")
@click.argument("flag", required=False)
@click.option(
    "--engine", "name", type=click.Choice(["vllm", "sglang"]), help="If IMAGE does not tell it."
)
@click.option("--release", help="Release of the engine, if IMAGE does not tell it.")
def engine(image: str, flag: str | None, name: str | None, release: str | None) -> None:
    """Print the flags of the engine in an image.

    With FLAG, print what is known of that flag.
    """
    from app.engines import shown
    from app.engines.engine import engine_of
    from app.engines.image import engine_of_image

    try:
        known = engine_of(name or engine_of_image(image), image, release)
    except ValueError as exc:
        raise UsageError(str(exc)) from None
    click.echo(shown.heading(known), err=True)
    lines = list(shown.details(known, flag) if flag else shown.summary(known))
    for line in lines:
        click.echo(line)
    if not lines and flag:
        click.echo(f"{flag}: {shown.absent(known, flag)}", err=True)
        sys.exit(REFUSED)
