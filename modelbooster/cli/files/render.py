"""The command ``render``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app.errors import UsageError
from modelbooster.cli.failures import REFUSED
from modelbooster.cli.options import (
    answer_files,
    exit_code,
    files_argument,
    kthena_option,
    namespace_option,
    strict_option,
)

if TYPE_CHECKING:
    from modelbooster.offline.answers import Answer


@click.command()
@files_argument
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="Form of the output.",
)
@click.option(
    "--diff",
    nargs=2,
    metavar="OLD NEW",
    help="Print what an edit from OLD to NEW would change, and which backends would restart.",
)
@click.option(
    "--live",
    metavar="FILE",
    help="Print which pods keep their template, and what differs. FILE has the live "
    "ModelServings: kubectl get modelservings -o yaml.",
)
@kthena_option
@strict_option
@namespace_option
def render(
    files: tuple[str, ...],
    output: str,
    diff: tuple[str, str] | None,
    live: str | None,
    kthena: str | None,
    strict: bool,
    namespace: str,
) -> None:
    """Print the children, without a cluster.

    Refused objects are not rendered; the refusal is printed to stderr.
    """
    from modelbooster.offline.answers import children
    from modelbooster.offline.dialect import to_json, to_yaml

    if diff is not None:
        if files:
            raise UsageError("--diff takes two files, and no others can be named beside it")
        if live is not None:
            raise UsageError("--diff compares two files, --live the cluster: give one of them")
        _print_diff(*diff, output, kthena, strict=strict, namespace=namespace)
    answers = answer_files(files, kthena, strict=strict, namespace=namespace)
    if live is not None:
        _print_waiting(answers, live, output)
    for answer in answers:
        _print_problems(answer)
        rendered = children(answer)
        text = to_yaml(rendered) if output == "yaml" else "".join(map(to_json, rendered))
        click.echo(text, nl=False)
    sys.exit(exit_code(answers))


def _print_diff(old: str, new: str, output: str, kthena: str | None, **choices: Any) -> NoReturn:
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.preview import previews

    before = answer_files((old,), kthena, stored=True, **choices)
    stored = {answer.key: answer.object for answer in before}
    after = answer_files((new,), kthena, replaced=stored, **choices)
    for answer in (*(a for a in before if not a.allowed), *after):
        _print_problems(answer)
    if not all(answer.allowed for answer in (*before, *after)):
        sys.exit(REFUSED)
    for preview in previews(before, after):
        click.echo(to_json(preview.summary()) if output == "json" else preview.text(), nl=False)
    sys.exit(0)


def _print_waiting(answers: list[Answer], live: str, output: str) -> NoReturn:
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.documents import read
    from modelbooster.offline.waiting import compare

    servings = [document.object for document in read((live,))]
    for answer in answers:
        _print_problems(answer)
        if (found := compare(answer, servings)) is not None:
            click.echo(to_json(found.summary()) if output == "json" else found.text(), nl=False)
    sys.exit(exit_code(answers))


def _print_problems(answer: Answer) -> None:
    click.echo(answer.problems(), nl=False, err=True)
