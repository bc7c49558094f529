"""The command ``validate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.failures import USAGE
from modelbooster.cli.options import (
    answer_files,
    exit_code,
    files_argument,
    kthena_option,
    namespace_option,
    strict_option,
)

if TYPE_CHECKING:
    from modelbooster.offline.reports.findings import Checked

REPORTS = ("github", "sarif", "junit")


@click.command()
@files_argument
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", *REPORTS]),
    default="text",
    show_default=True,
    help="Format of the answers; github, sarif and junit are reports for CI.",
)
@click.option(
    "--mixed",
    is_flag=True,
    help="Leave out files without a ModelBooster, whatever they contain, and templates of Helm.",
)
@kthena_option
@strict_option
@namespace_option
def validate(files: tuple[str, ...], output: str, kthena: str | None, **choices: Any) -> None:
    """Print what the webhook would answer, without a cluster.

    All documents of one call form one cluster, so clashes between them are found.
    """
    if output in REPORTS:
        _report(files, output, kthena, **choices)
    answers = answer_files(files, kthena, **choices)
    if output == "json":
        from modelbooster.offline.dialect import to_json

        text = "".join(to_json(answer.summary()) for answer in answers)
    else:
        text = "".join(answer.text() for answer in answers)
    click.echo(text, nl=False)
    sys.exit(exit_code(answers))


def _report(files: tuple[str, ...], output: str, kthena: str | None, **choices: Any) -> None:
    """Prints a report, also about input that cannot be read, and exits."""
    from modelbooster.offline.input_error import InputError
    from modelbooster.offline.reports.findings import checked, repository_root, unreadable

    root = repository_root()
    try:
        answers = answer_files(files, kthena, **choices)
    except InputError as exc:
        click.echo(_written([unreadable(exc, root)], output), nl=False)
        click.echo(f"Error: {' '.join(str(exc).splitlines())}", err=True)
        sys.exit(USAGE)
    click.echo(_written(checked(answers, root), output), nl=False)
    sys.exit(exit_code(answers))


def _written(documents: list[Checked], output: str) -> str:
    from app.version import VERSION
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.reports.github import github
    from modelbooster.offline.reports.junit import junit
    from modelbooster.offline.reports.sarif import sarif

    if output == "github":
        return github(documents)
    if output == "junit":
        return junit(documents)
    return to_json(sarif(documents, VERSION))
