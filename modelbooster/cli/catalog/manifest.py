"""The command ``create manifest``, with the names, flags and texts of kthena's command line.

The object goes to stdout with ``--dry-run``, everything around it to stderr, so that the output can
be piped. Without ``--dry-run``, stdout has the lines about what was applied.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from app.errors import OperatorError, UsageError
from modelbooster.cli.catalog.options import (
    apply_to_cluster,
    check_booster,
    print_booster,
    print_note,
    read_text,
)
from modelbooster.cli.cluster_options import cluster_options, with_cluster
from modelbooster.cli.options import kthena_option

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster

_RULE = "=" * 16
_QUESTION = "Do you want to apply these resources to the cluster? [y/N]: "


@click.command()
@click.option("-t", "--template", "name_of_template", required=True, help="Name of the template.")
@click.option("-f", "--values-file", multiple=True, metavar="FILE", help="File of values.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="Value of a parameter.")
@click.option("--name", help="Name of the ModelBooster.")
@click.option("--dry-run", is_flag=True, help="Print the ModelBooster, apply nothing.")
@click.option("-y", "--yes", is_flag=True, help="Apply without a question.")
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True
)
@kthena_option
@cluster_options
def manifest(
    name_of_template: str,
    values_file: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    dry_run: bool,
    yes: bool,
    output: str,
    kthena: str | None,
    **cluster: Any,
) -> None:
    """Make a ModelBooster of a template, as kthena's command line does.

    Asks before it applies the object, unless --yes is given.
    """
    booster = _rendered(name_of_template, values_file, sets, name, kthena, cluster)
    if dry_run:
        check_booster(booster, kthena, cluster["namespace"])
    print_note("Generated YAML:" if output == "yaml" else "Generated JSON:")
    print_note(_RULE)
    if dry_run:
        print_booster(booster, output)
        print_note(_RULE)
        print_note("Dry run mode: not applying to cluster")
        return
    with _stdout_to_stderr():
        print_booster(booster, output)
    print_note(_RULE)
    if not (yes or _confirmed()):
        print_note("Aborted.")
        return
    _apply(booster, cluster)


def _rendered(
    template: str,
    files: tuple[str, ...],
    sets: tuple[str, ...],
    name: str | None,
    kthena: str | None,
    cluster: dict[str, Any],
) -> Object:
    from app.catalog.parameters import check_values
    from app.catalog.settings import read_values
    from modelbooster.authoring.composing import advice_lines, compose, template_of

    found = template_of(template)
    try:
        texts = {file: read_text(file) for file in files}
    except UsageError as exc:
        detail = f"failed to read values file: {exc}"
        raise UsageError(f"failed to load template values: {detail}") from None
    try:
        values = read_values(texts, sets)
    except UsageError as exc:
        raise UsageError(f"failed to load template values: {exc}") from None
    values |= {"name": name} if name else {}
    values.setdefault("namespace", cluster["namespace"] or _namespace_of_context(cluster))
    try:
        booster = compose(found, check_values(values), None, kthena=kthena).booster
    except UsageError as exc:
        raise UsageError(f"failed to render template: {exc}") from None
    for line in advice_lines(booster):
        print_note(line)
    return booster


def _namespace_of_context(options: dict[str, Any]) -> str:
    """Returns the namespace of the kubeconfig's context; ``default`` without one."""
    from modelbooster.observe.access import DEFAULT_NAMESPACE, NoCluster

    async def work(cluster: Cluster) -> str:
        return cluster.namespace

    try:
        return with_cluster(options, work)
    except NoCluster:
        return DEFAULT_NAMESPACE


class _stdout_to_stderr:
    """While it is open, what is printed goes to stderr."""

    def __enter__(self) -> None:
        self._stdout = sys.stdout
        sys.stdout = sys.stderr

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._stdout


def _confirmed() -> bool:
    """Asks; returns whether the answer is yes. The end of input counts as no."""
    click.echo(_QUESTION, nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _apply(booster: Object, cluster: dict[str, Any]) -> None:
    kind, version = booster["kind"], booster["apiVersion"].partition("/")[2]
    name, namespace = booster["metadata"]["name"], booster["metadata"]["namespace"]
    click.echo(f"Applying {kind}/{version}: {name} in namespace {namespace}")
    try:
        applied = apply_to_cluster(booster, cluster, force=False, dry_run=False)
    except UsageError:
        raise
    except OperatorError as exc:
        raise OperatorError(f"failed to apply {kind} {name}: {exc}") from exc
    verb = {"created": "Creating", "configured": "Updating", "unchanged": "Keeping"}
    click.echo(f"  {verb[applied.outcome]} {kind}: {name} in namespace {namespace}")
    click.echo("  \N{CHECK MARK} Applied successfully")
    click.echo("All resources applied successfully!")
