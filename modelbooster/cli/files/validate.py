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
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@kthena_option
@strict_option
@namespace_option
def validate(
    files: tuple[str, ...], output: str, kthena: str | None, strict: bool, namespace: str
) -> None:
    """Print what the webhook would answer, without a cluster.

    All documents of one call form one cluster, so clashes between them are found.
    """
    answers = answer_files(files, kthena, strict=strict, namespace=namespace)
    if output == "json":
        from modelbooster.offline.dialect import to_json

        text = "".join(to_json(answer.summary()) for answer in answers)
    else:
        text = "".join(answer.text() for answer in answers)
    click.echo(text, nl=False)
    sys.exit(exit_code(answers))
