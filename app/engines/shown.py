"""What the tables say of an engine, as lines to read."""

from __future__ import annotations

from collections.abc import Iterator

from app.engines.engine import Engine
from app.engines.names import LABELS, missing, suggestion
from app.engines.table import Flag, Kind, Type, releases, table

_TYPES = {
    Type.NONE: "",
    Type.TEXT: "text",
    Type.INTEGER: "whole number",
    Type.NUMBER: "number",
    Type.TRUTH: "true or false",
    Type.SIZE: "whole number, or 32k (1000), 32K (1024)",
    Type.SIZE_OR_AUTO: "whole number, or 32k (1000), 32K (1024), or auto",
    Type.BINARY_SIZE: "whole number, or 32k (1000), 32Ki (1024)",
    Type.JSON: "JSON",
    Type.OBJECT: "object",
    Type.PAIRS: "object, or key=number,key=number",
    Type.MIXED: "text or object",
    Type.LITERAL: "object, or a level from 0 to 3",
    Type.OTHER: "text of a form that the table does not know",
}
_KINDS = {
    Kind.SWITCH: "switch, can only be turned on",
    Kind.TOGGLE: "switch",
    Kind.VALUE: "{}",
    Kind.OPTIONAL: "nothing, or {}",
    Kind.LIST: "list of {}",
    Kind.APPEND: "list of {}",
    Kind.ADAPTERS: "list of adapters, each with name and path",
}


def heading(engine: Engine) -> str:
    """Returns one line that says which table is shown, and why."""
    label = LABELS[engine.name]
    shown = f"{label} {engine.table.release}: {len(engine.table)} flags"
    if engine.assumed:
        return f"{shown}; the release in the image is unknown, and this is the newest known"
    if engine.exact:
        return shown
    return f"{shown}; the nearest known to {engine.release}"


def summary(engine: Engine) -> Iterator[str]:
    """Yields one line for each flag of the table."""
    for flag in engine.table:
        yield f"{flag.name}: {form_of(flag)}"


def details(engine: Engine, name: str) -> Iterator[str]:
    """Yields what is known of one flag; nothing if the release has none of that name.

    Args:
        engine: what is known of the engine.
        name: of the flag; dashes before it and underscores in it do not matter.
    """
    flag = engine.flag(plain(name))
    if flag is None:
        return
    yield f"{flag.name}: {form_of(flag)}"
    if flag.choices:
        yield f"  one of: {', '.join(flag.choices)}"
    if flag.aliases or flag.short:
        short = [f"-{one}" for one in flag.short]
        yield f"  also: {', '.join([*(f'--{one}' for one in flag.aliases), *short])}"
    if flag.kind is Kind.TOGGLE:
        off = [f"--no-{flag.name}", *(f"--{one}" for one in flag.off)]
        yield f"  turned off by: {', '.join(off)}"
    having = [str(one) for one in releases(engine.name) if flag.name in table(engine.name, one)]
    yield f"  in the tables of: {', '.join(having)}"


def absent(engine: Engine, name: str) -> str:
    """Returns one line that says that the release has no such flag, and what it has instead."""
    fault = missing(engine.table, plain(name), plain(name))
    return fault.detail + suggestion(engine.table, fault)


def plain(name: str) -> str:
    """Returns a flag's name without the dashes before it."""
    return name.lstrip("-").replace("_", "-")


def form_of(flag: Flag) -> str:
    """Returns how a value of a flag looks."""
    shown = _KINDS[flag.kind].format(_TYPES[flag.type])
    return f"{shown} (deprecated)" if flag.deprecated else shown
