"""What ModelBoosters lose with another definition installed: ``migrate --check --back FILE``.

The API server drops every field that the installed CustomResourceDefinition does not have. The way
back to kthena's own controller installs kthena's definition, so the answer comes from that file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.apis.definition import NAME
from app.apis.kinds import MODEL_BOOSTER
from app.apis.pruning import pruned
from app.errors import UsageError
from app.values.meta import Key, Object
from app.values.untyped import as_dict, as_list

_ANYTHING = {"x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True, slots=True)
class Loss:
    """What one ModelBooster loses.

    Args:
        key: namespace and name.
        lost: sorted paths of the fields that the definition does not have.
        required: sorted paths of the fields that the definition requires and the object lacks.
    """

    key: Key
    lost: tuple[str, ...]
    required: tuple[str, ...]

    def text(self) -> str:
        """Returns the loss as text."""
        if not self.lost and not self.required:
            return f"ModelBooster {self.key}: unchanged\n"
        lines = [f"ModelBooster {self.key}: changed"]
        lines += [f"  loses {path}" for path in self.lost]
        lines += [
            f"  lacks {path}, so edits are rejected until it is set" for path in self.required
        ]
        return "".join(f"{line}\n" for line in lines)

    def summary(self) -> Object:
        """Returns the loss as JSON, in a stable format for other tools."""
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "lost": list(self.lost),
            "required": list(self.required),
        }


def schema_of(objects: Sequence[Object], source: str) -> Object:
    """Returns the schema of ModelBooster from the definitions in a file.

    Args:
        objects: the objects of the file.
        source: its name, for the message.

    Raises:
        UsageError: none of them defines this version of ModelBooster.
    """
    for obj in objects:
        if obj.get("kind") == "CustomResourceDefinition" and obj["metadata"].get("name") == NAME:
            for version in as_list(as_dict(obj.get("spec")).get("versions")):
                if as_dict(version).get("name") == MODEL_BOOSTER.version:
                    schema: Object = as_dict(as_dict(version.get("schema")).get("openAPIV3Schema"))
                    return schema
    raise UsageError(
        f"{source}: no CustomResourceDefinition {NAME} with version {MODEL_BOOSTER.version}; "
        "--back needs the file of kthena's chart that has it"
    )


def loss_of(key: Key, booster: Object, schema: Object) -> Loss:
    """Returns what a stored ModelBooster loses with a schema; only its spec counts."""
    lost: list[str] = []
    required: list[str] = []
    spec = as_dict(schema.get("properties")).get("spec", {})
    todo: list[tuple[Any, Object, str]] = [(pruned(booster).object.get("spec"), spec, "spec")]
    while todo:
        value, node, path = todo.pop()
        if isinstance(value, dict):
            fields = as_dict(node.get("properties"))
            required += [
                f"{path}.{name}"
                for name in as_list(node.get("required"))
                if name not in value and "default" not in as_dict(fields.get(name))
            ]
            for name, inner in value.items():
                below = _below(node, name)
                if below is None:
                    lost.append(f"{path}.{name}")
                else:
                    todo.append((inner, below, f"{path}.{name}"))
        elif isinstance(value, list):
            below = as_dict(node.get("items")) or _ANYTHING
            todo += [(inner, below, f"{path}[{at}]") for at, inner in enumerate(value)]
    return Loss(key, tuple(sorted(lost)), tuple(sorted(required)))


def _below(node: Object, name: str) -> Object | None:
    """Returns the schema of a field, None if there is none."""
    found = as_dict(node.get("properties")).get(name, node.get("additionalProperties"))
    if isinstance(found, dict):
        return found
    keeps = found is True or node.get("x-kubernetes-preserve-unknown-fields")
    return _ANYTHING if keeps else None
