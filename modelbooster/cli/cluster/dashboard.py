"""The command ``dashboard``."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import click

from app.errors import UsageError
from modelbooster.cli.cluster_options import cluster_options, with_cluster

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster

PORT = 8765


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
@click.option(
    "--address",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on. There is no login: everybody who reaches it sees the fleet.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Another name by which browsers may call the dashboard. Repeatable.",
)
@cluster_options
def dashboard(port: int, address: str, hosts: tuple[str, ...], **options: Any) -> None:
    """Serve a page that shows how all ModelBoosters are doing.

    It only reads, and by default only this machine can open it. Shows all namespaces unless -n
    names one. Ends with Ctrl-C.
    """
    is_local = _is_local(address)
    options["all_namespaces"] = options["namespace"] is None

    async def run(cluster: Cluster) -> None:
        from modelbooster.dashboard.app import LOCAL_HOSTS, dashboard_app
        from modelbooster.dashboard.fleet import fleet_of
        from modelbooster.dashboard.server import serve
        from modelbooster.dashboard.source import Source
        from modelbooster.observe.overview import read_overview
        from modelbooster.parts.tasks import listen

        async def read() -> Object:
            return fleet_of(await read_overview(cluster), cluster.context or "this cluster")

        await read()  # so that a wrong context is told here, not in the browser
        names = (*LOCAL_HOSTS, address if ":" not in address else f"[{address}]", *hosts)
        try:
            listening = listen(address, port)
        except UsageError as exc:
            raise UsageError(f"{exc}; choose another with --port") from exc
        await serve(dashboard_app(Source(read), names), listening, click.echo)

    if not is_local:
        click.echo(
            f"Warning: everybody who reaches {address} port {port} can see the fleet; there is no "
            "login",
            err=True,
        )
    with_cluster(options, run)


def _is_local(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError as exc:
        raise UsageError(
            f'--address: "{address}" is not an IP address; write 127.0.0.1, ::1 or one of this '
            "machine"
        ) from exc
