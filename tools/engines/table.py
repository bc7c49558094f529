"""Turns what ``probe.py`` prints into a table of ``app/engines/data``: compact, one flag a line."""

from __future__ import annotations

import json
from typing import Any

TYPES = {
    "": "text",
    "str": "text",
    "nullable_str": "text",
    "parse_reasoning_parser": "text",
    "parse_cuda_graph_backend_arg": "text",
    "union_dict_and_str": "mixed",
    "int": "integer",
    "float": "number",
    "bool": "truth",
    "human_readable_int": "size",
    "human_readable_int_or_auto": "size-or-auto",
    "loads": "json",
    "json_list_type": "json",
    "parse_type.<locals>._parse_type": "json",
    "_compute_kwargs.<locals>.parse_dataclass": "object",
    "parse_cuda_graph_config_arg": "object",
    "KVTransferConfig.from_cli": "object",
    "PoolerConfig.from_json": "object",
    "CompilationConfig.from_cli": "literal",
}
"""By the function that reads a value; of any other nothing is known."""

SGLANG_TYPES = {**TYPES, "human_readable_int": "binary-size"}

ADAPTERS = ("LoRAParserAction", "LoRAPathAction")
TOGGLES = ("BooleanOptionalAction", "EnableDisableAction")
SWITCHES = ("StoreTrueAction", "StoreFalseAction", "DeprecatedStoreTrueAction")


def table_text(found: dict[str, Any]) -> str:
    """Returns the text of a table.

    Args:
        found: the parser as ``probe.py`` describes it.
    """
    head = {"engine": found["engine"], "release": found["release"]}
    types = SGLANG_TYPES if found["engine"] == "sglang" else TYPES
    entries = {
        _long(flag)[0]: _entry(flag, types)
        for flag in found["flags"]
        if flag["action"] != "HelpAction" and _long(flag)
    }
    lines = [f"{json.dumps(name)}:{_compact(entry)}" for name, entry in sorted(entries.items())]
    return _compact(head)[:-1] + ',"flags":{\n' + ",\n".join(lines) + "\n}}\n"


def _entry(flag: dict[str, Any], types: dict[str, str]) -> list[Any]:
    """Returns a flag's kind, its type, and what is unusual about it."""
    kind = _kind(flag["action"], flag["nargs"])
    reader = flag["type"].removeprefix("optional ")
    kind_of_value = "" if kind in ("switch", "toggle") else types.get(reader, "other")
    if kind_of_value == "json" and flag["pairs"]:
        kind_of_value = "pairs"
    long = _long(flag)
    short = [name.removeprefix("-") for name in flag["names"] if not name.startswith("--")]
    off = [name for name in long if kind == "toggle" and _negates(name, long)]
    more = {
        "null": flag["type"].startswith(("optional ", "nullable_str")),
        "empty": flag["nargs"] == "*",
        "choices": flag["choices"],
        # Every toggle has a name that begins with "no-".
        "off": [name for name in off if not name.startswith("no-")],
        "aliases": [name for name in long[1:] if name not in off],
        "short": short,
        "deprecated": flag["deprecated"],
    }
    unusual = {key: value for key, value in more.items() if value}
    return [kind, kind_of_value, unusual] if unusual else [kind, kind_of_value]


def _long(flag: dict[str, Any]) -> list[str]:
    """Returns the names with two dashes, without them."""
    return [name.removeprefix("--") for name in flag["names"] if name.startswith("--")]


def _kind(action: str, nargs: Any) -> str:
    if action in ADAPTERS:
        return "adapters"
    if action in TOGGLES:
        return "toggle"
    if action in SWITCHES:
        return "switch"
    if action == "AppendAction":
        return "append"
    return {"+": "list", "*": "list", "?": "optional"}.get(str(nargs), "value")


def _negates(name: str, names: list[str]) -> bool:
    """Whether a name turns a toggle off: ``no-x``, or ``disable-y`` if ``enable-y`` exists."""
    swapped = {"enable": "disable", "disable": "enable"}
    first, _, rest = name.partition("-")
    positive = f"{swapped.get(first, first)}-{rest}" if first in swapped else rest
    return (first == "no" or first in swapped) and name != names[0] and positive in names


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
