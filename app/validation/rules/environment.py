"""Rules about environment variables: the checks that the API server makes when it creates a pod.

Without these rules the ModelServing would exist but its pods would never be created. Kubernetes
1.32 allows more variable names; there is a warning for names that only older releases reject.
Paths refer to ``env`` and ``envFrom`` as the user wrote them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from app.model.environment import unusual_variables, variables
from app.model.forms import BackendForm, Model, cached_fact
from app.model.ports import RUNTIME_PORT
from app.model.roles import served
from app.validation.inputs import RuleInputs
from app.values.fields import FieldError, Path, forbidden, invalid, required
from app.values.meta import Object
from app.values.names import is_plain_variable, is_subdomain, subdomain_faults, variable_faults

_SIDECAR_VARIABLES = ("RUNTIME_URL", "RUNTIME_METRICS_PATH")
"""Variables that become arguments of the metrics sidecar."""

_ALL_SIDECAR_VARIABLES = {*_SIDECAR_VARIABLES, "RUNTIME_PORT"}


def variables_have_names(inputs: RuleInputs) -> Iterator[FieldError]:
    """Names of ``env`` and prefixes of ``envFrom`` are printable ASCII without ``=``."""
    for path, entry in _variables(inputs, having=_odd_names):
        at, name = path.child("name"), entry["name"]
        if not name:
            yield required(at, "")
        for fault in variable_faults(name):
            yield invalid(at, name, fault)
    for path, source in _prefixed(inputs):
        for fault in variable_faults(source["prefix"]):
            yield invalid(path.child("prefix"), source["prefix"], fault)


def variables_have_one_source(inputs: RuleInputs) -> Iterator[FieldError]:
    """A variable has a ``value``, or a ``valueFrom`` with exactly one source in it."""
    for path, entry in _variables(inputs, having=_unusual):
        source = entry.get("valueFrom")
        if source is None:
            continue
        at = path.child("valueFrom")
        if not source:
            yield invalid(
                at,
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or "
                "`secretKeyRef`",
            )
        elif entry.get("value"):
            yield invalid(at, "", "may not be specified when `value` is not empty")
        elif len(source) > 1:
            yield invalid(at, "", "may not have more than one field specified at a time")


def env_from_names_one_object(inputs: RuleInputs) -> Iterator[FieldError]:
    """An entry of ``envFrom`` names one ConfigMap or one Secret."""
    for path, source in _sources(inputs):
        named = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        if not named:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(named) > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")
        for kind in named:
            name = source[kind].get("name") or ""
            if not name:
                yield required(path.child(kind, "name"), "")
            elif not is_subdomain(name):
                for fault in subdomain_faults(name):
                    yield invalid(path.child(kind, "name"), name, fault)


def sidecar_finds_its_engine(inputs: RuleInputs) -> Iterator[FieldError]:
    """``RUNTIME_URL`` and ``RUNTIME_METRICS_PATH`` in ``env`` are literal values.

    They become arguments of the sidecar, and arguments cannot read a Secret. The path may be empty,
    the address may not.
    """
    for path, entry in _variables(inputs, having=_sidecar_variables):
        name = entry["name"]
        if name not in _SIDECAR_VARIABLES or entry.get("value"):
            continue
        if entry.get("valueFrom"):
            detail = f"{name} becomes an argument of the sidecar, so it must be a value"
            yield forbidden(path.child("valueFrom"), detail)
        elif name == "RUNTIME_URL":
            yield required(
                path.child("value"), "the address under which the sidecar finds the engine"
            )


def runtime_port_is_read(inputs: RuleInputs) -> Iterator[str]:
    """A port that is not a number is ignored, as it always was."""
    for path, entry in _variables(inputs, having=_sidecar_variables):
        text = entry.get("value") or ""
        if entry["name"] == "RUNTIME_PORT" and not re.fullmatch("[0-9]{1,18}", text, re.ASCII):
            yield f"{path}: RUNTIME_PORT is no number here; the sidecar listens on {RUNTIME_PORT}"


def old_servers_know_the_names(inputs: RuleInputs) -> Iterator[str]:
    """Kubernetes before 1.32 allows fewer names."""
    for path, entry in _variables(inputs, having=_odd_names):
        if not is_plain_variable(entry["name"]):
            yield f'{path}.name: pods with "{entry["name"]}" are refused by Kubernetes before 1.32'
    for path, source in _prefixed(inputs):
        prefix = source["prefix"]
        if not is_plain_variable(prefix):
            yield f'{path}.prefix: pods with "{prefix}" are refused by Kubernetes before 1.32'


def nixl_is_reachable(inputs: RuleInputs) -> Iterator[str]:
    """Other pods cannot reach NIXL at an address of the pod itself."""
    for form in inputs.served_backends:
        entry = variables(form).get(_NIXL_HOST)
        if entry is None:
            continue
        host = entry.get("value") or ""
        if host.startswith("127.") or host in _OWN_ADDRESSES:
            path = form.path.child("env").index(form.env.index(entry))
            yield (
                f"{path}.value: {_NIXL_HOST} {host} is no address that other pods reach, so decode "
                "cannot fetch from prefill; remove it, the operator sets the address of the pod"
            )


_NIXL_HOST = "VLLM_NIXL_SIDE_CHANNEL_HOST"

_OWN_ADDRESSES = frozenset({"0.0.0.0", "localhost", "::", "::1", "[::]", "[::1]"})  # noqa: S104


def env_files_are_known(inputs: RuleInputs) -> Iterator[str]:
    """Kubernetes 1.34 has env files behind a feature gate; older releases do not have them."""
    for path, entry in _variables(inputs, having=_unusual):
        if "fileKeyRef" in (entry.get("valueFrom") or {}):
            yield (
                f"{path}.valueFrom.fileKeyRef: pods are refused unless the cluster has the "
                "feature EnvFiles"
            )


def _variables(
    inputs: RuleInputs, *, having: Callable[[Model], list[BackendForm]]
) -> Iterator[tuple[Path, Object]]:
    """Yields path and content of the ``env`` entries of the backends that have such an entry.

    Most backends have none, which is quicker to find out than to check hundreds of entries.
    """
    for backend in having(inputs.model):
        at = backend.path.child("env")
        for position, entry in enumerate(backend.env):
            yield at.index(position), entry


@cached_fact
def _odd_names(model: Model) -> list[BackendForm]:
    """Returns the backends with a name in ``env`` that some Kubernetes releases reject."""
    return [backend for backend in served(model) if backend.env and _has_odd_name(backend)]


def _has_odd_name(backend: BackendForm) -> bool:
    names = variables(backend)
    if all(map(str.isidentifier, names)) and "".join(names).isascii():
        return False  # only letters, digits and underscores; hundreds of names are usual
    return not all(map(is_plain_variable, names))


@cached_fact
def _unusual(model: Model) -> list[BackendForm]:
    """Returns the backends with variables that do not consist of a name and a value."""
    return [backend for backend in served(model) if backend.env and unusual_variables(backend)]


@cached_fact
def _sidecar_variables(model: Model) -> list[BackendForm]:
    """Returns the backends with variables that configure the metrics sidecar."""
    return [
        backend
        for backend in served(model)
        if backend.env and not variables(backend).keys().isdisjoint(_ALL_SIDECAR_VARIABLES)
    ]


def _sources(inputs: RuleInputs) -> Iterator[tuple[Path, Object]]:
    for backend in inputs.served_backends:
        for position, source in enumerate(backend.env_from):
            yield backend.path.child("envFrom").index(position), source


def _prefixed(inputs: RuleInputs) -> Iterator[tuple[Path, Object]]:
    """Yields path and content of the ``envFrom`` entries with a prefix, which few have."""
    for backend in inputs.served_backends:
        if backend.env_from:
            for position, source in enumerate(backend.env_from):
                if source.get("prefix"):
                    yield backend.path.child("envFrom").index(position), source
