"""The names of children, models and LoRA adapters, and how long they may be."""

from __future__ import annotations

from app.engines.text import argument_text
from app.model.arguments import Argument, arguments
from app.model.forms import BackendForm, Model, cached_fact
from app.model.roles import roles, served
from app.values.fields import Path, SpecError, invalid, too_many

MAX_ADAPTERS = 10
"""Most LoRA adapters of a ModelRoute."""

MAX_MODEL_NAME_LENGTH = 256
MAX_NAME_LENGTH = 63
"""Longest value of a label and name of a Service; kthena derives both from our names."""

_LONGEST_SUFFIX = "-1000000-prefill-1000000-1000000"
"""The longest text that kthena appends to the name of a backend, see ``check_name_budget``."""


def check_name_budget(model: Model, backend: BackendForm) -> None:
    """Checks that kthena can name the pods of a backend.

    kthena names them ``<name>-<replicas>-<role>-<role replicas>-<followers>``, also in labels and
    Services. It rejects a ModelServing if that has more than 63 characters. The check uses the
    maximum replicas.

    Raises:
        SpecError: the name is too long.
    """
    name = backend_child_name(model, backend)
    if len(name) <= MAX_NAME_LENGTH - len(_LONGEST_SUFFIX):
        return
    for role, limit in _name_limits(backend):
        if len(name) > limit:
            most = max(backend.max_replicas, backend.min_replicas)
            detail = (
                f'generated name "{name}" has {len(name)} characters, at most {limit} are allowed '
                f'for this backend (role "{role}", up to {most} replicas)'
            )
            raise SpecError(invalid(backend.path.child("name"), backend.name, detail))


@cached_fact
def _name_limits(backend: BackendForm) -> list[tuple[str, int]]:
    """Returns how long the name of the children may be for each role, by its name."""
    most = max(backend.max_replicas, backend.min_replicas)
    return [
        (
            role.name,
            MAX_NAME_LENGTH - len(f"-{most}-{role.name}-{role.worker.replicas}-{role.followers}"),
        )
        for role in roles(backend)
    ]


def served_model_name(model: Model, backend: BackendForm) -> str:
    """Returns the name under which a backend's engines serve the model.

    It is ``served-model-name`` of ``config``, else the name of the ModelBooster. If that is a list,
    the engine answers to all of them and reports the first. ``spec.name`` is not used, because a
    new name for clients must not restart pods.

    Raises:
        SpecError: it is not a text of 1 to 256 characters, or prefill and decode differ.
    """
    return _given_model_name(backend) or model.name


def served_model_names(model: Model, backend: BackendForm) -> frozenset[str]:
    """Returns all names under which every engine of a backend serves the model.

    Raises:
        SpecError: as for ``served_model_name``.
    """
    found = [frozenset({model.name})]
    for role in roles(backend):
        given = arguments(role.worker).get("served-model-name")
        if given is not None:
            values = given.value if isinstance(given.value, list) else [given.value]
            found.append(frozenset(map(argument_text, values)))
    return frozenset.intersection(*(found[1:] or found)) | {served_model_name(model, backend)}


@cached_fact
def _given_model_name(backend: BackendForm) -> str | None:
    found: str | None = None
    for role in roles(backend):
        given = arguments(role.worker).get("served-model-name")
        if given is None:
            continue
        name = _first_name(given)
        if found is not None and found != name:
            detail = f'workers serve different names: "{found}" and "{name}"'
            raise SpecError(invalid(given.path, given.value, detail))
        found = name
    return found


def _first_name(given: Argument) -> str:
    value = given.value
    names = value if isinstance(value, list) else [value]
    for name in names:
        text = argument_text(name) if type(name) in (str, int, float, bool) else ""
        if not text:
            raise SpecError(invalid(given.path, value, "must be one name, or a list of names"))
        if len(text) > MAX_MODEL_NAME_LENGTH:
            detail = f"may not be longer than {MAX_MODEL_NAME_LENGTH} characters"
            raise SpecError(invalid(given.path, value, detail))
    if not names:
        raise SpecError(invalid(given.path, value, "must be one name, or a list of names"))
    return argument_text(names[0])


@cached_fact
def adapter_names(model: Model) -> list[str]:
    """Returns the sorted names of all LoRA adapters of the served backends, without duplicates.

    Raises:
        SpecError: there are more than a ModelRoute accepts.
    """
    names = sorted({a.name for backend in served(model) for a in backend.lora_adapters})
    if len(names) > MAX_ADAPTERS:
        path = served(model)[0].path
        path = Path("spec.backends") if path.text.endswith("]") else path.child("loraAdapters")
        of = "LoRA adapters of different names"
        raise SpecError(too_many(path, len(names), MAX_ADAPTERS, of))
    return names


def backend_child_name(model: Model, backend: BackendForm) -> str:
    """Returns the name of the children of one backend: ``<model>-<backend>``."""
    return f"{model.name}-{backend.name}"
