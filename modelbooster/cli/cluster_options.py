"""The options of kubectl that choose a cluster, for all commands that look at one."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster

INTERRUPTED = 130
"""Exit code after Ctrl-C, as that of a shell: 128 and the number of the signal."""

_Result = TypeVar("_Result")
_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--kubeconfig",
        metavar="PATH",
        help="Kubeconfig; if absent the files in $KUBECONFIG, then ~/.kube/config.",
    ),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
    click.option(
        "-n", "--namespace", metavar="NAME", help="Namespace; if absent that of the context."
    ),
    click.option("--as", "user", metavar="USER", help="User to impersonate."),
)


def booster_name(_context: click.Context, _parameter: click.Parameter, value: Any) -> Any:
    """Returns the name of a ModelBooster that an argument gives; ``mb/NAME`` is accepted too."""
    if not value or "/" not in value:
        return value
    from app.errors import UsageError
    from modelbooster.observe.kinds import MODEL_BOOSTERS, split_name

    kind, name = split_name(value)
    if kind is not MODEL_BOOSTERS:
        raise UsageError(f'"{value}" is no ModelBooster; write mb/{name} or {name}')
    return name


all_namespaces_option = click.option(
    "-A", "--all-namespaces", is_flag=True, help="Look in all namespaces; wins over -n."
)


def cluster_options(command: _Command) -> _Command:
    """Adds ``--kubeconfig``, ``--context``, ``-n`` and ``--as``.

    The command takes them as ``**options`` for ``with_cluster``, with ``all_namespaces`` if it has
    ``all_namespaces_option`` too.
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def with_cluster(options: dict[str, Any], work: Callable[[Cluster], Awaitable[_Result]]) -> _Result:
    """Opens the cluster that the options choose, runs ``work`` on it and returns its result.

    Args:
        options: the options of ``cluster_options``.
        work: a coroutine function that takes the open cluster.

    Raises:
        NoCluster: there is no cluster, or it does not answer; exit code 1.
        UsageError: an option names what does not exist; exit code 2.
    """
    from modelbooster.observe.access import Access, open_cluster

    access = Access(**options)
    for stream in (sys.stdout, sys.stderr):
        # Names and logs may have characters that the encoding of the terminal lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")

    async def run() -> _Result:
        async with open_cluster(access) as cluster:
            return await work(cluster)

    try:
        return asyncio.run(run())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
