"""The command ``status``."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster_options import (
    all_namespaces_option,
    booster_name,
    cluster_options,
    with_cluster,
)
from modelbooster.cli.output import output_option, screen_of

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster
    from modelbooster.observe.overview import Overview

WATCH_SECONDS = 2.0
"""Pause between two readings with ``-w``."""

_CLEAR_BELOW = "\x1b[J"
_HOME = "\x1b[H"


@click.command()
@click.argument("name", required=False, callback=booster_name)
@all_namespaces_option
@click.option("-l", "--selector", default="", help="Label selector of ModelBoosters.")
@click.option("-w", "--watch", is_flag=True, help="Show changes until you press Ctrl-C.")
@output_option
@cluster_options
def status(name: str | None, selector: str, watch: bool, output: str, **options: Any) -> None:
    """Show how ModelBoosters are doing, and why one does not serve.

    Says in one line why a ModelBooster is not active and what to do, and shows its tree:
    ModelBooster, caches, children, pods, downloads. Without NAME, a ModelBooster that serves has
    one line; -o wide shows all trees. Only reads; what you may not read is left out, with a note.
    """

    async def show(cluster: Cluster) -> None:
        from modelbooster.observe.overview import read_overview
        from modelbooster.observe.reading import where

        is_live = watch and screen_of().width is not None
        before: object = None
        while True:
            overview = await read_overview(cluster, selector, name or "")
            now = [standing.summary() for standing in overview.standings]
            # Ages change all the time; they are news only on a screen that is drawn again.
            if is_live or now != before:
                text = _text(overview, output, cluster.all_namespaces, one=bool(name))
                _print(text, overview, where(cluster), is_live=is_live)
            before = now
            if not watch:
                return
            await asyncio.sleep(WATCH_SECONDS)

    if name and options["all_namespaces"]:
        raise click.UsageError("NAME and -A exclude each other: a name needs one namespace.")
    with_cluster(options, show)


def _print(text: str, overview: Overview, place: str, *, is_live: bool) -> None:
    for note in overview.notes:
        click.echo(f"Note: {note}", err=True)
    if not overview.standings:
        click.echo(f"There is no ModelBooster {place}.", err=True)
    if is_live:
        rows = shutil.get_terminal_size().lines - 1
        lines = text.splitlines()
        if len(lines) > rows:
            lines = [*lines[: rows - 1], f"and {len(lines) - rows + 1} more lines"]
        text = _HOME + _CLEAR_BELOW + "".join(line + "\n" for line in lines)
    click.echo(text, nl=False, color=True)


def _text(overview: Overview, output: str, all_namespaces: bool, *, one: bool) -> str:
    from modelbooster.cli.cluster.status_view import overview_text
    from modelbooster.offline.dialect import to_json, to_yaml

    match output:
        case "json":
            return "".join(to_json(standing.summary()) for standing in overview.standings)
        case "yaml":
            return to_yaml([standing.summary() for standing in overview.standings])
        case "name":
            prefix = "modelbooster.workload.serving.volcano.sh/"
            return "".join(f"{prefix}{standing.key.name}\n" for standing in overview.standings)
    return overview_text(
        overview,
        screen_of(),
        with_namespace=all_namespaces,
        wide=output == "wide",
        one=one,
    )
