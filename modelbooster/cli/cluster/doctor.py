"""The command ``doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster_options import cluster_options, with_cluster
from modelbooster.cli.failures import REFUSED
from modelbooster.cli.output import screen_of

if TYPE_CHECKING:
    from modelbooster.checkup.finding import Result
    from modelbooster.observe.access import Cluster


@click.command()
@cluster_options
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    show_default=True,
    help="Format of the output.",
)
def doctor(output: str, **options: Any) -> None:
    """Check the installation, and print how to fix what is wrong.

    Checks the access, the rights of you and of the operator, the CustomResourceDefinitions, the
    webhook and its certificates, kthena, and what the stored ModelBoosters need. Nothing is
    changed: ModelBoosters are only created in a dry run. The exit code is 1 if a check failed.
    """
    from modelbooster.checkup.report import report_summary, report_text
    from modelbooster.checkup.table import has_failed
    from modelbooster.offline.dialect import to_json, to_yaml

    results = with_cluster(options, _examine)
    if output == "table":
        screen = screen_of()
        text = report_text(results, screen.width, screen.style)
    else:
        summary = report_summary(results)
        text = to_json(summary) if output == "json" else to_yaml([summary])
    click.echo(text, nl=False)
    sys.exit(REFUSED if has_failed(results) else 0)


async def _examine(cluster: Cluster) -> list[Result]:
    from app.version import VERSION
    from modelbooster.checkup.read import read_facts
    from modelbooster.checkup.table import check_all

    facts = await read_facts(
        cluster.kube,
        server=f"context {cluster.context}" if cluster.context else "the cluster of this pod",
        namespace=cluster.namespace,
        program=VERSION,
    )
    return check_all(facts)
