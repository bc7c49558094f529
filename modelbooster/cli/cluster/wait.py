"""The command ``wait``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster_options import booster_name, cluster_options, with_cluster

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster

NEVER = 1
"""Exit code: the state cannot be reached any more, or the cluster cannot be read."""

TIMED_OUT = 3
"""Exit code: the time was over before."""


@click.command(name="wait")
@click.argument("name", callback=booster_name)
@click.option(
    "--for",
    "goal",
    type=click.Choice(["active", "initialized", "failed", "deleted"]),
    default="active",
    show_default=True,
    help="State to wait for.",
)
@click.option(
    "--timeout",
    default="30m",
    show_default=True,
    metavar="DURATION",
    help="Longest wait, such as 90s or 2h; 0 looks once.",
)
@cluster_options
def wait(name: str, goal: str, timeout: str, **options: Any) -> None:
    """Wait until a ModelBooster is active, or has another state.

    Ends early if that cannot happen any more, for example because it has failed; stderr says why
    and what to do. Exit codes: 0 the state is reached, 1 it cannot be reached, 2 wrong arguments,
    3 the time is over.
    """
    from modelbooster.observe.waiting import Ending, Goal, Waited, wait_for

    seconds = seconds_of(timeout, "--timeout")

    async def work(cluster: Cluster) -> Waited:
        def tell(state: str) -> None:
            click.echo(f"{name}: {state}", err=True)

        waited = await wait_for(cluster, name, Goal(goal), seconds, tell)
        if waited.ending is not Ending.MET:
            await _explain(cluster, name)
        return waited

    waited = with_cluster({**options, "all_namespaces": False}, work)
    if waited.ending is Ending.MET:
        met = "deleted" if goal == "deleted" else "condition met"
        click.echo(f"modelbooster.workload.serving.volcano.sh/{name} {met}")
        return
    if waited.ending is Ending.TIMEOUT:
        click.echo(f"Error: {name} is not {goal} after {timeout}: {waited.why}", err=True)
        sys.exit(TIMED_OUT)
    click.echo(f"Error: {name} will not be {goal}: {waited.why}", err=True)
    sys.exit(NEVER)


async def _explain(cluster: Cluster, name: str) -> None:
    """Prints why a ModelBooster does not serve, as ``status`` does."""
    from modelbooster.cli.cluster.status_view import headline
    from modelbooster.cli.output import screen_of
    from modelbooster.observe.overview import read_overview
    from modelbooster.observe.reading import NotThere

    try:
        overview = await read_overview(cluster, "", name)
    except NotThere:
        return
    for standing in overview.standings:
        for line in headline(standing, screen_of(sys.stderr), with_namespace=False):
            click.echo(line, err=True)


def seconds_of(text: str, option: str) -> float:
    """Returns the seconds of a duration that an option has.

    Raises:
        UsageError: it is no duration, or negative.
    """
    from app.errors import UsageError
    from app.values.duration import parse_duration

    nanoseconds = parse_duration(text)
    if nanoseconds is None or nanoseconds < 0:
        raise UsageError(f'{option}: "{text}" is no duration; write it as 90s, 10m or 1h30m')
    return nanoseconds / 1e9
