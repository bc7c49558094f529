"""The command ``migrate``."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app.errors import UsageError
from modelbooster.cli.cluster_options import all_namespaces_option, cluster_options, with_cluster
from modelbooster.cli.failures import REFUSED
from modelbooster.cli.options import kthena_option

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.checkup.finding import Result
    from modelbooster.observe.access import Cluster
    from modelbooster.offline.takeover import Takeover


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE...|-]")
@click.option("--check", is_flag=True, help="Print what a takeover would change. Required.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json"]),
    default="table",
    show_default=True,
    help="Format of the output; wide prints every field that changes.",
)
@click.option(
    "--back",
    metavar="FILE",
    help="Print which fields are lost on the way back to kthena's own controller instead; FILE has "
    "kthena's CustomResourceDefinition of ModelBooster.",
)
@kthena_option
@all_namespaces_option
@cluster_options
def migrate(
    files: tuple[str, ...],
    check: bool,
    output: str,
    back: str | None,
    kthena: str | None,
    **options: Any,
) -> None:
    """Print what a takeover from kthena's own controller would change.

    Reads the ModelBoosters and their children from the cluster, or from FILEs as kubectl prints
    them. Nothing is changed. The exit code is 1 if somebody has to do something: edit a
    ModelBooster, turn something off, or allow a restart of pods; with --back, if a field is lost.
    """
    from modelbooster.checkup.finding import Status
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.takeover import needs_somebody

    if not check:
        raise UsageError(
            "migrate only checks: add --check. docs/migrate-from-kthena.md has the steps of a "
            "takeover"
        )
    if back is not None:
        _back(back, files, output, options)
    results: list[Result] = []
    if files:
        takeovers = _from_files(files, kthena, options["namespace"] or "default")
    else:
        results, takeovers = with_cluster(options, lambda cluster: _read(cluster, kthena))
    problems = [r for r in results if r.finding.status in (Status.FAILED, Status.SKIPPED)]
    if output == "json":
        summary = {
            "cluster": [result.summary() for result in results],
            "modelBoosters": [takeover.summary() for takeover in takeovers],
        }
        click.echo(to_json(summary), nl=False)
    else:
        for result in problems:
            click.echo(_problem(result), nl=False)
        for takeover in takeovers:
            click.echo(takeover.text(wide=output == "wide"), nl=False)
        click.echo(_sum(takeovers))
    is_open = any(result.finding.status is Status.FAILED for result in results)
    sys.exit(REFUSED if is_open or needs_somebody(takeovers) else 0)


def _back(back: str, files: tuple[str, ...], output: str, options: dict[str, Any]) -> NoReturn:
    """Prints what the way back would lose, and ends."""
    from app.values.meta import Key
    from modelbooster.offline.answers import is_booster
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.documents import read
    from modelbooster.offline.way_back import loss_of, schema_of

    schema = schema_of([document.object for document in read([back])], back)
    if files:
        objects = [document.object for document in read(files)]
    else:
        objects = with_cluster(options, _stored)
    boosters = [
        _placed(obj, options["namespace"] or "default") for obj in objects if is_booster(obj)
    ]
    losses = [
        loss_of(Key(obj["metadata"]["namespace"], obj["metadata"].get("name", "")), obj, schema)
        for obj in boosters
    ]
    losing = sum(bool(loss.lost or loss.required) for loss in losses)
    if output == "json":
        click.echo(to_json({"modelBoosters": [loss.summary() for loss in losses]}), nl=False)
    else:
        for loss in losses:
            click.echo(loss.text(), nl=False)
        number = f"{len(losses)} ModelBooster{'s' * (len(losses) != 1)}"
        click.echo(f"{number}: {losing} changed, {len(losses) - losing} unchanged")
    sys.exit(REFUSED if losing else 0)


async def _stored(cluster: Cluster) -> list[Object]:
    from app.apis.kinds import MODEL_BOOSTER

    found = await cluster.kube.list(MODEL_BOOSTER, namespace=cluster.scope)
    # Items of a list have neither kind nor version.
    identity = {"apiVersion": MODEL_BOOSTER.api_version, "kind": MODEL_BOOSTER.kind}
    return [{**identity, **obj} for obj in found.items]


def _from_files(files: tuple[str, ...], kthena: str | None, namespace: str) -> list[Takeover]:
    from modelbooster.offline.documents import read

    return _takeovers([document.object for document in read(files)], kthena, namespace)


async def _read(cluster: Cluster, kthena: str | None) -> tuple[list[Result], list[Takeover]]:
    from app.version import VERSION
    from modelbooster.checkup.migration import (
        read_for_takeover,
        release_to_write,
        takeover_results,
    )
    from modelbooster.checkup.read import read_facts

    facts = await read_facts(
        cluster.kube,
        server=cluster.context,
        namespace=cluster.namespace,
        program=VERSION,
    )
    objects = await read_for_takeover(cluster.kube, facts, cluster.scope)
    release = kthena or release_to_write(facts)
    return takeover_results(facts), _takeovers(objects, release, cluster.namespace)


def _takeovers(objects: list[Object], kthena: str | None, namespace: str) -> list[Takeover]:
    from modelbooster.cli.options import answer_documents
    from modelbooster.offline.answers import is_booster
    from modelbooster.offline.documents import Document
    from modelbooster.offline.takeover import is_child, takeover_of

    boosters = [Document(_place(obj), obj) for obj in objects if is_booster(obj)]
    live = [_placed(obj, namespace) for obj in objects if is_child(obj)]
    answers = answer_documents(boosters, kthena, stored=True, namespace=namespace)
    return [takeover_of(answer, live) for answer in answers]


def _place(obj: Object) -> str:
    metadata = obj.get("metadata") or {}
    return f"{metadata.get('namespace', '')}/{metadata.get('name', '')}"


def _placed(obj: Object, namespace: str) -> Object:
    return {**obj, "metadata": {"namespace": namespace, **(obj.get("metadata") or {})}}


def _problem(result: Result) -> str:
    finding = result.finding
    lines = [f"Cluster: {finding.message}", *(f"  $ {command}" for command in finding.remedy)]
    if finding.note:
        lines.append(f"  {finding.note}")
    return "".join(f"{line}\n" for line in lines)


def _sum(takeovers: list[Takeover]) -> str:
    from modelbooster.offline.takeover import Verdict

    counts = Counter(takeover.verdict for takeover in takeovers)
    parts = [f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]]
    number = f"{len(takeovers)} ModelBooster{'s' * (len(takeovers) != 1)}"
    return f"{number}: {', '.join(parts)}" if parts else number
