"""Golden cases: a ModelBooster, and the whole of what it turns into for each child profile.

``<case>/input.yaml`` is the ModelBooster; ``<case>/ABC.yaml`` holds its children for the profiles
that the file's name lists. Where two profiles give the same children, they share a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.apis.kinds import Profile
from app.apis.modelbooster import ModelBooster
from app.apis.pruning import stored
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.values.meta import Object

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/input.yaml"))
PROFILES = tuple(Profile)


class _Dumper(yaml.SafeDumper):
    """Made to be read: no anchors, long texts as blocks, and what is short and flat in one line."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, items: Any, flow_style: Any = None) -> yaml.SequenceNode:
        node = super().represent_sequence(tag, items, flow_style)
        node.flow_style = _is_short(node.value)
        return node

    def represent_mapping(self, tag: str, fields: Any, flow_style: Any = None) -> yaml.MappingNode:
        node = super().represent_mapping(tag, fields, flow_style)
        node.flow_style = _is_short([part for pair in node.value for part in pair])
        return node


def _is_short(parts: list[yaml.Node]) -> bool:
    flat = all(isinstance(part, yaml.ScalarNode) and part.style != "|" for part in parts)
    return not parts or (flat and sum(len(part.value) + 3 for part in parts) <= 90)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and not text.startswith((" ", "\n")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def booster(case: str) -> Object:
    """Returns the ModelBooster of a case, as the API server would store it."""
    return stored(_input(case)).object


@cache
def _input(case: str) -> Object:
    obj: Object = yaml.load((FOLDER / case / "input.yaml").read_text(), Loader=yaml.CSafeLoader)
    return obj


def children(case: str, profile: Profile) -> list[Object]:
    """Returns what the ModelBooster of a case turns into."""
    model = canonical(ModelBooster.model_validate(booster(case)))
    return [child.object for child in desired_children(model, profile, Options())]


def files(case: str) -> Iterator[tuple[Path, str]]:
    """Yields the path and text of each file that a case should have."""
    texts: dict[str, str] = {}
    for profile in PROFILES:
        text = yaml.dump_all(
            children(case, profile),
            Dumper=_Dumper,
            explicit_start=True,
            sort_keys=False,
            width=10_000,
            allow_unicode=True,
        )
        texts[text] = texts.get(text, "") + profile
    for text, profiles in texts.items():
        yield FOLDER / case / f"{profiles}.yaml", text


def kept(case: str, profile: Profile) -> list[Object]:
    """Returns the children that the files of a case hold for a profile."""
    (path,) = (p for p in (FOLDER / case).glob("*.yaml") if profile in p.stem.removeprefix("input"))
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
