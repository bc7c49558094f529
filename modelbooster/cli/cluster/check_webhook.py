"""The command ``check-webhook``, which ``helm test`` runs in a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster_options import cluster_options, with_cluster

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster


@click.command("check-webhook")
@cluster_options
def check_webhook(**options: Any) -> None:
    """Check with dry runs that the API server calls the webhook.

    A dry run of a valid ModelBooster must be accepted, and one of an invalid ModelBooster rejected.
    Nothing is stored. Needs the right to create ModelBoosters in the namespace.
    """
    from modelbooster.checkup.webhook_check import refusal

    async def work(cluster: Cluster) -> str:
        return await refusal(cluster.kube, cluster.namespace)

    said = with_cluster({**options, "all_namespaces": False}, work)
    click.echo("A valid ModelBooster is accepted, an invalid one is rejected:")
    click.echo(said)
