"""The commands ``chat`` and ``curl``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster.wait import seconds_of
from modelbooster.cli.cluster_options import booster_name, cluster_options, with_cluster

if TYPE_CHECKING:
    from modelbooster.observe.access import Cluster
    from modelbooster.observe.asking import Answer

PROMPT = "Say hello in one short sentence."


def _command(name: str, help_text: str, *, as_json: bool) -> click.Command:
    @click.command(name, help=help_text)
    @click.argument("name", callback=booster_name)
    @click.argument("prompt", required=False)
    @click.option(
        "--router",
        default="kthena-system/kthena-router:80",
        show_default=True,
        metavar="NAMESPACE/SERVICE[:PORT]",
        help="Service of kthena's router.",
    )
    @click.option("--pod", is_flag=True, help="Ask an engine itself, without the router.")
    @click.option("--backend", help="With --pod: a pod of this backend.")
    @click.option(
        "--max-tokens",
        type=click.IntRange(1),
        default=256,
        show_default=True,
        help="Longest answer.",
    )
    @click.option(
        "--timeout",
        default="60s",
        show_default=True,
        metavar="DURATION",
        help="Longest wait for the answer.",
    )
    @cluster_options
    def command(
        name: str,
        prompt: str | None,
        router: str,
        pod: bool,
        backend: str | None,
        max_tokens: int,
        timeout: str,
        **options: Any,
    ) -> None:
        from app.errors import UsageError
        from modelbooster.observe.asking import ask, router_hop, served_name
        from modelbooster.offline.dialect import to_json

        hop = router_hop(router)
        if hop is None:
            raise UsageError(
                f'--router: "{router}" is not NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT'
            )
        if backend and not pod:
            raise UsageError("--backend chooses a pod; give --pod too")
        seconds = seconds_of(timeout, "--timeout")
        by_router = hop

        async def work(cluster: Cluster) -> Answer:
            from modelbooster.observe.engines import engine_of
            from modelbooster.observe.reading import read_boosters

            if pod:
                target, model = await engine_of(cluster, name, backend)
            else:
                (booster,) = await read_boosters(cluster, name=name)
                target, model = by_router, served_name(booster)
            question = prompt if prompt is not None else _piped() or PROMPT
            return await ask(cluster, target, model, question, tokens=max_tokens, seconds=seconds)

        answer = with_cluster({**options, "all_namespaces": False}, work)
        click.echo(to_json(answer.body) if as_json else answer.text, nl=not as_json)

    return command


def _piped() -> str:
    """Returns the standard input if it is no terminal."""
    return "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read().strip()


chat = _command(
    "chat",
    "Send one prompt to a served model and print its answer.\n\nThe request goes through the API "
    "server to kthena's router, as the requests of clients do, so an answer proves that the model "
    "serves. An error says which hop failed. PROMPT is read from the standard input if it is "
    "absent and the input is piped. Needs the right to create services/proxy in the namespace of "
    "the router; with --pod, pods/proxy in that of the model.",
    as_json=False,
)
curl = _command(
    "curl", "Send one prompt to a served model and print the response as JSON.", as_json=True
)
