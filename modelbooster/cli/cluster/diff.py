"""The command ``diff``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app.apis.kinds import PROFILES
from modelbooster.cli.cluster_options import cluster_options, with_cluster
from modelbooster.cli.failures import USAGE

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster
    from modelbooster.observe.difference import Compared

DIFFERENT = 1
"""Exit code: something changes."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...|-")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the output.",
)
@click.option(
    "--kthena",
    metavar="RELEASE",
    type=click.Choice(list(PROFILES)),
    help="kthena release of the children; if absent the one that is installed in the cluster.",
)
@cluster_options
def diff(files: tuple[str, ...], output: str, kthena: str | None, **options: Any) -> None:
    """Print what applying files would change in the cluster, and which pods restart.

    Compares children as the operator would write them before and after. Changes nothing. Exit
    codes, as those of kubectl diff: 0 no difference, 1 a difference, 2 an error, or a document
    that would be refused.
    """
    from app.errors import OperatorError
    from modelbooster.offline.dialect import to_json

    try:
        compared = _compare(files, kthena, options)
    except OperatorError as exc:
        _fail(str(exc))
    for answer in compared.answers:
        click.echo(answer.problems(), nl=False, err=True)
    if not compared.allowed:
        sys.exit(USAGE)
    found = [difference for difference in compared.differences if difference.is_changed]
    for difference in found:
        text = to_json(difference.summary()) if output == "json" else difference.text()
        click.echo(text, nl=False)
    sys.exit(DIFFERENT if found else 0)


def _compare(files: tuple[str, ...], kthena: str | None, options: dict[str, Any]) -> Compared:
    from modelbooster.observe.difference import compare_files
    from modelbooster.offline.documents import read
    from modelbooster.settings import read_settings

    settings = read_settings()
    documents = list(read(files))

    async def work(cluster: Cluster) -> Compared:
        return await compare_files(
            cluster,
            documents,
            settings.options,
            kthena or settings.kthena_release,
            lambda text: click.echo(text, err=True),
        )

    return with_cluster({**options, "all_namespaces": False}, work)


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(USAGE)
