"""The command ``describe``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.cluster.get import TEMPLATE_KINDS
from modelbooster.cli.cluster_options import cluster_options, with_cluster
from modelbooster.cli.output import age

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster
    from modelbooster.observe.kinds import ShownKind

_LINE = "=" * 16
_LONG_LINE = "=" * 17


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME")
@cluster_options
def describe(words: tuple[str, ...], **options: Any) -> None:
    """Print everything about a ModelBooster, a child of one, or a template.

    KIND is model-booster if absent, or another one of get, or template. For a ModelBooster, the
    object is followed by what status shows.
    """
    from app.errors import UsageError
    from modelbooster.observe.kinds import MODEL_BOOSTERS, kind_named, kind_names, split_name

    if len(words) > 2:
        raise UsageError(f"describe takes a kind and one name, not {len(words)} words")
    *kinds, name = words
    if kinds and kinds[0] in TEMPLATE_KINDS:
        from modelbooster.cli.catalog.templates import describe_template

        describe_template(name)
        return
    if not kinds and name in TEMPLATE_KINDS:
        raise UsageError("name the template: model-booster describe template NAME")
    inner, name = split_name(name)
    if inner is not None:
        kinds = [*kinds, inner.names[0]]
    if len(kinds) > 1:
        raise UsageError("the kind is given twice; write KIND NAME or KIND/NAME")
    shown = kind_named(kinds[0]) if kinds else MODEL_BOOSTERS
    if shown is None:
        raise UsageError(
            f'there is no kind "{kinds[0]}"; write one of {", ".join(kind_names())}, template'
        )
    if not kinds and kind_named(name) is not None:
        raise UsageError(f"name the {name} to describe: model-booster describe {name} NAME")
    choice = shown

    async def show(cluster: Cluster) -> None:
        from app.errors import ApiError, OperatorError
        from modelbooster.observe.kinds import MODEL_BOOSTERS
        from modelbooster.observe.listing import read_object, why_not

        try:
            obj = await read_object(cluster, choice, name)
        except ApiError as exc:
            if exc.status == 401:
                raise
            raise OperatorError(f"failed to get {choice.title} '{name}': {why_not(exc)}") from exc
        click.echo(description(obj, choice, datetime.now(UTC)), nl=False)
        if choice is MODEL_BOOSTERS:
            await _print_status(cluster, name)

    with_cluster({**options, "all_namespaces": False}, show)


async def _print_status(cluster: Cluster, name: str) -> None:
    from modelbooster.cli.cluster.status_view import overview_text
    from modelbooster.cli.output import screen_of
    from modelbooster.observe.overview import read_overview

    overview = await read_overview(cluster, "", name)
    for note in overview.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"\nStatus:\n{_LONG_LINE}")
    text = overview_text(overview, screen_of(), with_namespace=False, wide=True, one=True)
    click.echo(text, nl=False)


def description(obj: Object, kind: ShownKind, now: datetime) -> str:
    """Returns an object with its age, in the layout of kthena's CLI."""
    from modelbooster.cli.cluster.get import without_managed_fields
    from modelbooster.observe.columns import age_seconds
    from modelbooster.offline.dialect import to_yaml

    metadata = obj["metadata"]
    lines = [
        f"{kind.title}: {metadata['name']}",
        _LINE,
        f"Namespace: {metadata.get('namespace', '')}",
        f"Created: {metadata.get('creationTimestamp', '')}",
        f"Age: {age(age_seconds(obj, now) or 0)}",
        "",
        "Resource Details:",
        _LONG_LINE,
    ]
    body = to_yaml([without_managed_fields(obj)]).removeprefix("---\n")
    return "".join(line + "\n" for line in lines) + body
