"""The command ``check-webhook``, which ``helm test`` runs in a pod."""

from __future__ import annotations

import asyncio

import click


@click.command("check-webhook")
@click.option("-n", "--namespace", default="default", show_default=True, help="Of the dry runs.")
@click.option("--kubeconfig", metavar="PATH", help="Access to the cluster, as for the processes.")
def check_webhook(namespace: str, kubeconfig: str | None) -> None:
    """Check with dry runs that the API server calls the webhook.

    A dry run of a valid ModelBooster must be accepted, and one of an invalid ModelBooster rejected.
    Nothing is stored. Needs the right to create ModelBoosters in the namespace.
    """
    from app.kube import connect
    from modelbooster.webhook_check import refusal

    async def run() -> str:
        async with connect(kubeconfig) as kube:
            return await refusal(kube, namespace)

    said = asyncio.run(run())
    click.echo("A valid ModelBooster is accepted, an invalid one is rejected:")
    click.echo(said)
