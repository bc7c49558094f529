"""Rules about ``valueFrom`` of environment variables.

Messages are those of the API server, which makes the same checks when it creates a pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from app.convert.core_v1 import check_file_key_ref, quantity_of
from app.model.environment import unusual_variables
from app.model.forms import BackendForm
from app.validation.inputs import RuleInputs
from app.validation.rules.facts import fault_of
from app.values.fields import FieldError, Path, invalid, not_supported, required
from app.values.meta import Object
from app.values.names import (
    key_faults,
    qualified_faults,
    subdomain_faults,
    variable_faults,
)
from app.values.quantity import canonical_quantity

_FIELDS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName"),
    *("spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP"),
    "status.podIPs",
)
"""Pod fields that a variable can read, besides single labels and annotations."""

_OLD_NAME_OF_NODE = "spec.host"
_KNOWN_ONLY_IN_VOLUMES = frozenset(
    {"metadata.annotations", "metadata.labels"}
    | {"spec.restartPolicy", "spec.schedulerName", "status.phase"}
)

_RESOURCES = tuple(
    f"{part}.{name}"
    for part in ("limits", "requests")
    for name in ("cpu", "ephemeral-storage", "memory")
)
_HUGE_PAGES = ("limits.hugepages-", "requests.hugepages-")
_CPU_UNITS = frozenset({"1m", "1"})
_UNITS = ("1", *(f"1{unit}" for unit in "kMGTPE"), *(f"1{unit}i" for unit in "KMGTPE"))

_ENV_FILE_VOLUMES = ("dshm", "weights")
"""The emptyDir volumes of our pods; ``weights`` is one only if ``cacheURI`` is not set."""


def sources_can_be_read(inputs: RuleInputs) -> Iterator[FieldError]:
    """``valueFrom`` names a valid key, pod field, resource or file."""
    for backend in inputs.served_backends:
        for position, entry in unusual_variables(backend):
            source = entry.get("valueFrom")
            if not source:
                continue
            at = backend.path.child("env").index(position).child("valueFrom")
            for kind in ("configMapKeyRef", "secretKeyRef"):
                if kind in source:
                    yield from _key_faults(at.child(kind), source[kind])
            if "fieldRef" in source:
                yield from _field_faults(at.child("fieldRef"), source["fieldRef"])
            if "resourceFieldRef" in source:
                yield from _amount_faults(at.child("resourceFieldRef"), source["resourceFieldRef"])
            if "fileKeyRef" in source:
                file = at.child("fileKeyRef")
                yield from _file_faults(file, source["fileKeyRef"], backend, inputs)


def _key_faults(path: Path, reference: Object) -> Iterator[FieldError]:
    name, key = reference.get("name") or "", reference["key"]
    for fault in subdomain_faults(name):
        yield invalid(path.child("name"), name, fault)
    if not key:
        yield required(path.child("key"), "")
    else:
        for fault in key_faults(key):
            yield invalid(path.child("key"), key, fault)


def _field_faults(path: Path, reference: Object) -> Iterator[FieldError]:
    version, field = reference.get("apiVersion") or "v1", reference["fieldPath"]
    at = path.child("fieldPath")
    if not field:
        yield required(at, "")
        return
    if version != "v1":
        yield invalid(at, field, f"error converting fieldPath: unsupported pod version: {version}")
        return
    head, bracket, key = field.removesuffix("']").partition("['")
    if not (bracket and head and field.endswith("']")):
        if field in _KNOWN_ONLY_IN_VOLUMES:
            yield not_supported(at, field, list(_FIELDS))
        elif field not in _FIELDS and field != _OLD_NAME_OF_NODE:
            detail = f"error converting fieldPath: field label not supported: {field}"
            yield invalid(at, field, detail)
    elif head not in ("metadata.annotations", "metadata.labels"):
        detail = f"error converting fieldPath: field label does not support subscript: {field}"
        yield invalid(at, field, detail)
    else:
        name = key if head == "metadata.labels" else key.lower()
        for fault in qualified_faults(name):
            yield invalid(path, name, fault)


def _amount_faults(path: Path, reference: Object) -> Iterator[FieldError]:
    name = reference["resource"]
    huge = name.startswith(_HUGE_PAGES)
    if not name:
        yield required(path.child("resource"), "")
    elif name not in _RESOURCES and not huge:
        yield not_supported(path.child("resource"), name, list(_RESOURCES))
    at, written = path.child("divisor"), reference.get("divisor", 0)
    if fault := fault_of(quantity_of, written, at):
        yield fault
        return
    unit = canonical_quantity(written)
    of = name.partition(".")[2]
    if unit == "0" or (name not in _RESOURCES and not huge):
        return
    if of == "cpu":
        if unit not in _CPU_UNITS:
            detail = "only divisor's values 1m and 1 are supported with the cpu resource"
            yield invalid(at, name, detail)
    elif unit not in _UNITS:
        kind = "hugepages" if huge else "memory" if of == "memory" else "local ephemeral storage"
        values = ", ".join(_UNITS)
        yield invalid(
            at, name, f"only divisor's values {values} are supported with the {kind} resource"
        )


def _file_faults(
    path: Path, reference: Object, backend: BackendForm, inputs: RuleInputs
) -> Iterator[FieldError]:
    if fault := fault_of(check_file_key_ref, path, inputs.context.release_profile):
        yield fault
        return
    for field in ("key", "path"):
        if not reference[field]:
            yield required(path.child(field), "")
    for detail in variable_faults(reference["key"]):
        yield invalid(path.child("key"), reference["key"], detail)
    if ".." in reference["path"].split("/"):
        yield invalid(path.child("path"), reference["path"], "must not contain '..'")
    volumes = [name for name in _ENV_FILE_VOLUMES if name == "dshm" or not backend.cache_uri]
    if reference["volumeName"] not in volumes:
        yield not_supported(path.child("volumeName"), reference["volumeName"], volumes)
