"""Golden cases: a ModelBooster and all its children for each profile.

``<case>/input.yaml`` is the ModelBooster; ``<case>/ABC.yaml`` holds its children for the profiles
in its name. Profiles with the same children share a file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import yaml

from app.apis.kinds import PROFILES as RELEASES
from app.apis.kinds import Profile, read_kthena_release
from app.apis.modelbooster import ModelBooster
from app.apis.pruning import pruned
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.values.meta import Object

FOLDER = Path(__file__).parent / "cases"
CASES = sorted(path.parent.name for path in FOLDER.glob("*/input.yaml"))
PROFILES = tuple(Profile)


class _Dumper(yaml.SafeDumper):
    """Writes readable YAML: no anchors, long texts as blocks, short flat parts on one line."""

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
    (written,) = _read(FOLDER / case / "input.yaml")
    return pruned(written).object


def children(case: str, profile: Profile) -> list[Object]:
    """Returns the children of a case's ModelBooster, for the newest release of a profile."""
    model = canonical(ModelBooster.model_validate(booster(case)))
    newest = [release for release, of in RELEASES.items() if of is profile][-1]
    options = Options(kthena_release=read_kthena_release(newest))
    return [child.object for child in desired_children(model, profile, options)]


def files(case: str) -> Iterator[tuple[Path, str]]:
    """Yields path and content of each file of a case."""
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
    """Returns the children that the files of a case contain for a profile."""
    (path,) = (p for p in (FOLDER / case).glob("*.yaml") if profile in p.stem.removeprefix("input"))
    return _read(path)


def _read(path: Path) -> list[Object]:
    """Returns the documents of a file; each call returns new objects, which a test may change."""
    documents: list[Object] = orjson.loads(_as_json(path))
    return documents


@cache
def _as_json(path: Path) -> bytes:
    """Many tests read each file, and JSON is read 50 times faster than YAML."""
    return orjson.dumps(list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader)))
