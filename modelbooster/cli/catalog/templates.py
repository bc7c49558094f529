"""Prints the templates: ``get templates``, ``get template NAME`` and ``describe template NAME``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import fill
from typing import TYPE_CHECKING, Any

import click

from modelbooster.cli.output import Column, Screen, screen_of, table

if TYPE_CHECKING:
    from app.catalog.templates import Template

_RULE = "=" * 17
_INDENT = "    "
_WIDTH = 100
"""Width of paragraphs that do not go to a terminal."""


def print_templates(output: str) -> None:
    """Prints all templates.

    Args:
        output: ``table``, ``wide``, ``yaml``, ``json`` or ``name``.
    """
    from app.catalog.templates import templates

    found = list(templates())
    if not found and output in ("table", "wide"):
        click.echo("No templates found.")
        return
    _print_list(found, output)


def print_template(name: str, output: str | None) -> None:
    """Prints one template: its file for ``yaml`` and without a format, else as in a list.

    Raises:
        UnknownTemplate: there is none of this name.
    """
    from modelbooster.authoring.composing import template_of

    template = template_of(name)
    if output in (None, "yaml"):
        click.echo(template_text(template), nl=False)
    elif output == "json":
        from modelbooster.offline.yaml_reader import parse

        (facts,) = parse(template.path, template_text(template).encode())
        click.echo(json.dumps(facts.value, indent=4, ensure_ascii=False))
    else:
        _print_list([template], str(output))


def describe_template(name: str) -> None:
    """Prints the profiles with the memory that they need, the parameters, and the file.

    Raises:
        UnknownTemplate: there is none of this name.
    """
    from modelbooster.authoring.composing import template_of

    template, screen = template_of(name), screen_of()
    click.echo(f"Name:         {template.name}")
    click.echo(f"Description:  {template.description}")
    click.echo(f"Repository:   {template.model.repository}")
    click.echo(f"Gated:        {'yes' if template.model.gated else 'no'}")
    click.echo(f"License:      {template.model.license}")
    click.echo("\nProfiles:")
    click.echo(_indented(_profiles(template, screen)), nl=False)
    click.echo("\nParameters (--set NAME=VALUE, or a file with -f):")
    click.echo(_indented(_parameters(screen)), nl=False)
    click.echo(f"\n{_RULE}\nTemplate Content:\n{_RULE}")
    click.echo(template_text(template), nl=False)


def template_text(template: Template) -> str:
    """Returns the file of a template's model."""
    from app.catalog.files import FOLDER

    return (FOLDER / template.path).read_text()


def _print_list(found: list[Template], output: str) -> None:
    from modelbooster.offline.dialect import to_yaml

    rows = [
        {"Description": one.description, "FilePath": one.path, "Name": one.name} for one in found
    ]
    if output == "yaml":
        click.echo(_yaml_list(to_yaml, rows), nl=False)
    elif output == "json":
        click.echo(json.dumps(rows, indent=4, ensure_ascii=False))
    elif output == "name":
        click.echo("\n".join(f"template/{one.name}" for one in found))
    else:
        columns = [Column("NAME"), Column("DESCRIPTION", "end")]
        cells = [[one.name, one.description] for one in found]
        if output == "wide":
            columns += [Column("ENGINES"), Column("GATED"), Column("PROFILES", "end")]
            for row, one in zip(cells, found, strict=True):
                profiles = ",".join(profile.name for profile in one.profiles)
                row += [",".join(one.engines), "yes" if one.model.gated else "no", profiles]
        click.echo(table(columns, cells, screen_of()), nl=False)


def _yaml_list(to_yaml: Any, rows: list[dict[str, str]]) -> str:
    """Returns a list of mappings as YAML."""
    text = ""
    for row in rows:
        lines = to_yaml([row]).removeprefix("---\n").splitlines()
        text += "".join(f"{'  ' if at else '- '}{line}\n" for at, line in enumerate(lines))
    return text


def _profiles(template: Template, screen: Screen) -> str:
    """Returns a table of the profiles, with the memory of one device."""
    from app.catalog.memory import GIB
    from modelbooster.authoring.composing import memory_of_profile

    columns = [Column("NAME"), Column("CONTEXT"), Column("REQUESTS"), Column("ENGINES")]
    columns.append(Column("WEIGHTS + KV CACHE"))
    rows = []
    for profile in template.profiles:
        engines, memory = memory_of_profile(template, profile)
        parts = [f"{part / GIB:.1f}" for part in (memory.weights, memory.kv_needed)]
        rows.append(
            [
                profile.name,
                str(profile.context),
                str(profile.concurrency),
                ",".join(engines),
                f"{' + '.join(parts)} of {memory.usable / GIB:.1f} GiB",
            ]
        )
    return table(columns, rows, screen)


def _parameters(screen: Screen) -> str:
    """Returns the parameters, each with its meaning in the next lines."""
    from app.catalog.parameters import PARAMETERS

    width = (screen.width or _WIDTH) - len(_INDENT)
    text = ""
    for one in PARAMETERS:
        default = f"; default: {one.default}" if one.default else ""
        text += f"{one.name} ({one.type}{default})\n"
        text += fill(one.meaning, width, initial_indent=_INDENT, subsequent_indent=_INDENT) + "\n"
    return text


def _indented(text: str) -> str:
    return "".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"  {line}\n" if line else "\n"
