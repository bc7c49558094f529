"""The command ``validate``."""

from __future__ import annotations

import sys

import click

from modelbooster.cli.options import (
    answer_files,
    exit_code,
    files_argument,
    kthena_option,
    namespace_option,
    strict_option,
)


@click.command()
@files_argument
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the output.",
)
@kthena_option
@strict_option
@namespace_option
def validate(
    files: tuple[str, ...], output: str, kthena: str | None, strict: bool, namespace: str
) -> None:
    """Print what the webhook would answer, without a cluster.

    All documents of one call form one cluster, so clashes between them are found.
    """
    from modelbooster.offline.dialect import to_json

    answers = answer_files(files, kthena, strict=strict, namespace=namespace)
    for answer in answers:
        click.echo(to_json(answer.summary()) if output == "json" else answer.text(), nl=False)
    sys.exit(exit_code(answers))
