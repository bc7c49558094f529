"""The command ``logs``."""

from __future__ import annotations

import asyncio
import math
import sys
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster.wait import seconds_of
from modelbooster.cli.cluster_options import booster_name, cluster_options, with_cluster
from modelbooster.cli.failures import REFUSED

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster


@click.command()
@click.argument("name", callback=booster_name)
@click.option("--backend", help="Only pods of this backend.")
@click.option(
    "-c",
    "--container",
    metavar="engine|downloader|sidecar",
    help="Container, or the name of one; the downloader until the engine starts, then the engine.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new lines until you press Ctrl-C.")
@click.option("-p", "--previous", is_flag=True, help="Log of the instance before a restart.")
@click.option("--tail", type=click.IntRange(0), metavar="LINES", help="Only the last lines.")
@click.option("--since", metavar="DURATION", help="Only lines that are newer, such as 10m.")
@cluster_options
def logs(
    name: str,
    backend: str | None,
    container: str | None,
    follow: bool,
    previous: bool,
    tail: int | None,
    since: str | None,
    **options: Any,
) -> None:
    """Print the logs of the pods of a ModelBooster.

    With several pods or containers, each line begins with [pod/NAME/CONTAINER].
    """
    from modelbooster.observe.engines import containers_of, pods_of
    from modelbooster.observe.reading import read_families

    age = None if since is None else max(math.ceil(seconds_of(since, "--since")), 1)

    async def work(cluster: Cluster) -> bool:
        (family,) = (await read_families(cluster, name=name)).families
        wanted = [
            (pod, inner)
            for _, pod in pods_of(family, backend)
            for inner in containers_of(pod, container)
        ]
        if not wanted:
            click.echo(f'Error: no pod of {name} has a container "{container}"', err=True)
            return False
        choices: dict[str, Any] = {
            "follow": follow,
            "previous": previous,
            "tail": tail,
            "since_seconds": age,
        }
        several = len(wanted) > 1
        printers = [_print(cluster, pod, inner, prefix=several, **choices) for pod, inner in wanted]
        if follow:
            return any(await asyncio.gather(*printers))
        return any([await one for one in printers])

    if not with_cluster({**options, "all_namespaces": False}, work):
        sys.exit(REFUSED)


async def _print(
    cluster: Cluster, pod: Object, container: str, *, prefix: bool, **choices: Any
) -> bool:
    """Prints one log; returns whether it could be read."""
    from app.errors import ApiError
    from modelbooster.observe.pods.findings import source_of
    from modelbooster.observe.pods.logs import stream_log
    from modelbooster.observe.pods.progress import readable

    shown = readable if source_of(pod, container) else bytes
    place = f"pod/{pod['metadata']['name']}/{container}"
    begin = f"[{place}] ".encode() if prefix else b""
    out = sys.stdout.buffer
    rest = b""
    try:
        async for piece in stream_log(cluster.kube, pod, container, **choices):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                out.write(begin + shown(line) + b"\n")
            out.flush()
    except ApiError as exc:
        click.echo(f"Error: {place}: {exc.message}", err=True)
        return False
    if rest:
        out.write(begin + shown(rest) + b"\n")
        out.flush()
    return True
