"""Writes YAML like kubectl, and JSON.

PyYAML reads some plain scalars as dates or base-60 numbers, and ``1e3`` as a string. What is
written here means the same to kubectl, to PyYAML and to ``yaml_reader``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import orjson
import yaml
from yaml.nodes import ScalarNode

from app.values.meta import Object
from modelbooster.offline.scalars import PLAIN

_TAG = "tag:yaml.org,2002:"


class _Dumper(yaml.CSafeDumper):
    """Quotes each string that PyYAML or kubectl would parse as another type."""

    def ignore_aliases(self, data: object) -> bool:
        """Children share values; anchors would make the output harder to read."""
        return True


for _type, _form, _first in PLAIN:
    _pattern = re.compile(f"(?:{_form.pattern})$")
    _Dumper.add_implicit_resolver(_TAG + _type, _pattern, list(_first))


def _text(dumper: yaml.CSafeDumper, text: str) -> ScalarNode:
    # Block style keeps shell scripts readable.
    return dumper.represent_scalar(_TAG + "str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Iterable[Object]) -> str:
    """Returns objects as YAML documents."""
    return "".join("---\n" + _dump(obj) for obj in objects)


def to_json(obj: Object) -> str:
    """Returns an object as one line of JSON."""
    return orjson.dumps(obj).decode() + "\n"


def _dump(obj: Object) -> str:
    text: str = yaml.dump(obj, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text
