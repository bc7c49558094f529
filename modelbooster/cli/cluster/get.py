"""The command ``get``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster_options import all_namespaces_option, cluster_options, with_cluster
from modelbooster.cli.output import FORMATS, Column, Screen, age, screen_of, table

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster
    from modelbooster.observe.kinds import ShownKind


TEMPLATE_KINDS = ("templates", "template")
"""What is in the catalogue, not in the cluster."""


@click.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@all_namespaces_option
@click.option("-l", "--selector", default="", help="Label selector.")
@click.option("-w", "--watch", is_flag=True, help="Print changes until you press Ctrl-C.")
@click.option("-o", "--output", type=click.Choice(FORMATS), help="Format; table if absent.")
@cluster_options
def get(
    kind: str | None,
    name: str | None,
    selector: str,
    watch: bool,
    output: str | None,
    **options: Any,
) -> None:
    """Print ModelBoosters, their children, or templates of the catalogue.

    KIND is model-boosters (mb, the default), model-servings (ms), model-servers (mserver),
    model-routes (mroute), autoscaling-policies (asp) or autoscaling-policy-bindings (aspb), or
    templates, which need no cluster. NAME selects the objects whose name contains it.
    """
    if kind in TEMPLATE_KINDS:
        _print_templates(name, output)
        return
    from app.errors import UsageError
    from modelbooster.observe.kinds import MODEL_BOOSTERS, kind_named, kind_names, split_name

    if kind and "/" in kind and name is None:
        inner, name = split_name(kind)
        kind = inner.names[0] if inner else None
    shown = MODEL_BOOSTERS if kind is None else kind_named(kind)
    if shown is None:
        raise UsageError(
            f'there is no kind "{kind}"; write one of {", ".join(kind_names())}, templates; for a '
            f"ModelBooster of that name: get mb {kind}"
        )
    if watch and output in ("yaml", "json"):
        raise UsageError("-w prints a table; leave -o out, or use -o wide or name")
    choice = shown

    async def show(cluster: Cluster) -> None:
        from app.errors import ApiError, OperatorError
        from modelbooster.observe.listing import changes, list_objects, why_not

        try:
            objects, version = await list_objects(cluster, choice, name or "", selector)
        except ApiError as exc:
            if exc.status == 401:
                raise
            raise OperatorError(f"failed to list {choice.plural_title}: {why_not(exc)}") from exc
        if not objects:
            click.echo(_nothing(choice, cluster, name), err=True)
        click.echo(_text(objects, choice, output, cluster), nl=False)
        if watch:
            async for obj in changes(cluster, choice, name or "", selector, version):
                click.echo(_text([obj], choice, output, cluster, header=False), nl=False)

    with_cluster(options, show)


def _print_templates(name: str | None, output: str | None) -> None:
    """Prints templates of the catalogue, which need no cluster."""
    from modelbooster.cli.catalog.templates import print_template, print_templates

    if name is None:
        print_templates(output or "table")
    else:
        print_template(name, output)


def _nothing(kind: ShownKind, cluster: Cluster, name: str | None) -> str:
    """Returns that there is nothing, in the words of kthena's CLI."""
    if name:
        return f"No {kind.plural_title} found matching '{name}'."
    if cluster.all_namespaces:
        return f"No {kind.plural_title} found across all namespaces."
    return f"No {kind.plural_title} found in namespace {cluster.namespace}."


def _text(
    objects: list[Object],
    kind: ShownKind,
    output: str | None,
    cluster: Cluster,
    *,
    header: bool = True,
) -> str:
    from modelbooster.offline.dialect import to_json, to_yaml

    match output:
        case "yaml" | "json":
            clean = [without_managed_fields(obj) for obj in objects]
            listed = {"apiVersion": "v1", "kind": "List", "items": clean}
            return to_yaml([listed])[len("---\n") :] if output == "yaml" else to_json(listed)
        case "name":
            prefix = f"{kind.resource.kind.lower()}.{kind.resource.group}"
            return "".join(f"{prefix}/{obj['metadata']['name']}\n" for obj in objects)
    if not objects:
        return ""
    return table_text(
        objects,
        kind,
        screen_of(),
        wide=output == "wide",
        with_namespace=cluster.all_namespaces,
        header=header,
    )


def table_text(
    objects: Iterable[Object],
    kind: ShownKind,
    screen: Screen,
    *,
    wide: bool,
    with_namespace: bool,
    header: bool = True,
) -> str:
    """Returns objects of a kind as a table: the columns of kthena's CLI, then ours."""
    from modelbooster.observe.columns import cells_of

    cells = [c for c in cells_of(kind.resource, datetime.now(UTC), age) if wide or not c.wide]
    columns = [Column(cell.title, cell.cut) for cell in cells]
    rows = [[cell.text(obj) for cell in cells] for obj in objects]
    if with_namespace:
        columns.insert(0, Column("NAMESPACE", "middle"))
        for row, obj in zip(rows, objects, strict=True):
            row.insert(0, obj["metadata"]["namespace"])
    return table(columns, rows, screen, header=header)


def without_managed_fields(obj: Object) -> Object:
    """Returns an object as kubectl prints it: without ``managedFields``."""
    metadata = {key: value for key, value in obj["metadata"].items() if key != "managedFields"}
    return {**obj, "metadata": metadata}
