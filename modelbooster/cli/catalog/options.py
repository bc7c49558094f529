"""Options that the commands on the catalogue share, and what they do with a new ModelBooster."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from app.errors import UsageError
from modelbooster.cli.failures import REFUSED

if TYPE_CHECKING:
    from app.values.meta import Object
    from modelbooster.authoring.applying import Applied

_Command = TypeVar("_Command", bound=Callable[..., Any])

_SOURCE = "\N{NULL}create"
"""Used in messages in place of a file name."""

FORMATS = ("yaml", "json", "name")


def print_note(text: str) -> None:
    """Prints a note for the user."""
    click.echo(text, err=True)


def read_text(name: str) -> str:
    """Returns the text of a file that an option names; ``-`` is standard input.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        if name == "-":
            return sys.stdin.read()
        with open(name, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"{name}: {reason}") from exc


def check_booster(booster: Object, kthena: str | None, namespace: str | None) -> None:
    """Prints what the webhook would warn of; ends with exit code 1 if it would refuse."""
    from modelbooster.cli.options import context_for
    from modelbooster.offline.answers import answers
    from modelbooster.offline.documents import Document

    (answer,) = answers(
        [Document(_SOURCE, booster)],
        context_for(kthena),
        namespace=namespace or "default",
        note=print_note,
        strict=True,
    )
    click.echo(answer.problems().replace(f"{_SOURCE}: ", ""), nl=False, err=True)
    if not answer.allowed:
        sys.exit(REFUSED)


def print_booster(booster: Object, output: str) -> None:
    """Prints an object on stdout: ``yaml``, ``json`` or ``name``."""
    from modelbooster.offline.dialect import to_yaml

    if output == "name":
        click.echo(resource_name(booster))
    elif output == "json":
        import json

        click.echo(json.dumps(booster, indent=4, ensure_ascii=False))
    else:
        click.echo(to_yaml([booster]).removeprefix("---\n"), nl=False)


def resource_name(booster: Object) -> str:
    """Returns kind, group and name as kubectl prints them."""
    from app.apis.kinds import MODEL_BOOSTER

    return f"{MODEL_BOOSTER.kind.lower()}.{MODEL_BOOSTER.group}/{booster['metadata']['name']}"


def apply_to_cluster(
    booster: Object, options: dict[str, Any], *, force: bool, dry_run: bool
) -> Applied:
    """Applies an object to the cluster that the options choose, and prints its warnings."""
    from modelbooster.authoring.applying import apply_booster
    from modelbooster.cli.cluster_options import with_cluster
    from modelbooster.observe.access import Cluster

    async def work(cluster: Cluster) -> Applied:
        metadata = {**booster["metadata"]}
        metadata.setdefault("namespace", cluster.namespace)
        placed = {**booster, "metadata": metadata}
        return await apply_booster(cluster.kube, placed, force=force, dry_run=dry_run)

    applied = with_cluster(options, work)
    for text in applied.warnings:
        print_note(f"Warning: {text}")
    return applied
