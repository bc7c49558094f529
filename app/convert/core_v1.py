"""Writes core/v1 values the way Go clients serialize them.

kthena's autoscaler reads a ModelServing into Go types and writes all of it back. If that changed
anything, the hash of the roles would change and every pod would restart. So children hold no empty
string or list where Go has ``omitempty``, and quantities are in canonical form.
"""

from __future__ import annotations

from typing import Any

from app.apis.kinds import Profile
from app.model.environment import unusual_variables
from app.model.forms import BackendForm
from app.values.fields import Path, SpecError, forbidden, invalid
from app.values.meta import Object
from app.values.quantity import canonical_quantity

_EMPTY: tuple[Any, ...] = ("", [])
_ABSENT = (None, *_EMPTY)
_WRITTEN_EVEN_IF_EMPTY = frozenset(
    {
        "name",
        "key",
        "operator",
        "topologyKey",
        "fieldPath",
        "resource",
        "path",
        "volumeName",
        "nodeSelectorTerms",
    }
)


def compact(**fields: Any) -> Object:
    """Returns the fields that are not None, ``""`` or ``[]``. ``{}`` is kept."""
    return {key: item for key, item in fields.items() if item or item not in _ABSENT}


def env_of(backend: BackendForm, profile: Profile) -> list[Object]:
    """Returns the user's environment variables, in the user's order.

    Raises:
        SpecError: the ``divisor`` of a resource is not a quantity, or the installed kthena does
            not know ``fileKeyRef``.
    """
    entries = backend.env
    if entries and (unusual := unusual_variables(backend)):
        entries = list(entries)
        for position, entry in unusual:
            entries[position] = _variable(entry, backend, position, profile)
    return entries


def _variable(entry: Object, backend: BackendForm, position: int, profile: Profile) -> Object:
    source, written = entry.get("valueFrom"), omit_empty(entry)
    if source:
        path = backend.path.child("env").index(position).child("valueFrom")
        if "fileKeyRef" in source:
            check_file_key_ref(path.child("fileKeyRef"), profile)
        if "resourceFieldRef" in source:
            # Go always writes the divisor, as "0" if it is not set.
            at = path.child("resourceFieldRef", "divisor")
            divisor = quantity_of(source["resourceFieldRef"].get("divisor", 0), at)
            written["valueFrom"]["resourceFieldRef"]["divisor"] = divisor
    variable: Object = written
    return variable


def check_file_key_ref(path: Path, profile: Profile) -> None:
    """Raises SpecError if the installed kthena does not know ``fileKeyRef``."""
    if profile is Profile.A:
        detail = "kthena v0.1.0, which is installed, does not know it"
        raise SpecError(forbidden(path, detail))


def env_from_of(backend: BackendForm) -> list[Object]:
    """Returns the ConfigMaps and Secrets whose keys become environment variables."""
    return [omit_empty(source) for source in backend.env_from]


def resources_of(resources: Object, above: Path) -> Object:
    """Returns the resources of a container; ``{}`` if there are none.

    Args:
        resources: as the user wrote them.
        above: path of the object that has the field ``resources``.

    Raises:
        SpecError: an amount is not a quantity.
    """
    written: Object = {}
    if not resources:
        return written
    for part in ("limits", "requests"):
        if amounts := resources.get(part):
            try:
                written[part] = {
                    name: canonical_quantity(amount) for name, amount in amounts.items()
                }
            except ValueError:
                path = above.child("resources", part)
                for name, amount in amounts.items():
                    quantity_of(amount, path.key(name))
                raise
    if claims := resources.get("claims"):
        written["claims"] = omit_empty(claims)
    return written


def omit_empty(value: Any) -> Any:
    """Returns a copy of a core/v1 value without the fields that Go omits if empty.

    Quantities are not changed.
    """
    if isinstance(value, list):
        return [omit_empty(item) for item in value]
    if not isinstance(value, dict):
        return value
    written: Object = {}
    for key, item in value.items():
        if isinstance(item, str):
            if item or key in _WRITTEN_EVEN_IF_EMPTY:
                written[key] = item
        elif key == "matchLabels":  # a map of labels, whose values may be empty
            if item:
                written[key] = dict(item)
        elif key in _WRITTEN_EVEN_IF_EMPTY or item not in _EMPTY:
            written[key] = omit_empty(item)
    return written


def quantity_of(value: object, path: Path) -> str:
    """Returns a quantity in canonical form; raises SpecError if ``value`` is not one."""
    try:
        return canonical_quantity(value)
    except ValueError:
        raise SpecError(invalid(path, value, "must be an amount such as 500m, 2 or 16Gi")) from None
