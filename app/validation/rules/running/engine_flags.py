"""Rules about the arguments of engines, from the tables of their releases (``app.engines``).

The rules apply to new objects and new values only (``rules.ADMISSION_ONLY``). A fault that is not
certain is a warning, because the release of the engine is unknown or lies between two tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.engines.fault import Fault, Wrong
from app.engines.names import LABELS, suggestion
from app.engines.release import release
from app.model.annotations import BACKEND_ANNOTATIONS, ENGINE_RELEASE
from app.model.arguments import Arguments, arguments
from app.model.connector import KV_ROLES, TRANSFER_FLAG, transfer_config
from app.model.engine import RAY_GONE, engine
from app.model.forms import WorkerForm, cached_fact
from app.model.roles import EXECUTOR_BACKEND, Launcher, launcher
from app.validation.inputs import RuleInputs
from app.values.fields import FieldError, forbidden, invalid, required

_VALUE_FAULTS = frozenset({Wrong.FORM, Wrong.TYPE, Wrong.CHOICE})
"""Faults of the value; the others are faults of the key."""

_CHECKED_ELSEWHERE = frozenset({"port"})
"""Flags whose values another rule checks for all engines."""

_MAX_SUGGESTIONS = 20
"""Most misspelled flags of an object for which the nearest name is searched; no more are shown."""

_TOOL_CHOICE, _TOOL_PARSER = "enable-auto-tool-choice", "tool-call-parser"
_COMPILATION = "compilation-config"

COMBINED = frozenset({_TOOL_CHOICE, _COMPILATION, TRANSFER_FLAG})
"""Flags of vLLM, by their first names, that may clash with others or with the release."""

_STRICT_TRANSFER = release("0.33.0")
"""The first table of a vLLM release that rejects ``_OLD_TRANSFER_KEYS``."""
_LENIENT_TRANSFER = release("0.18.0")
"""The last table of a vLLM release that accepts them."""
_OLD_TRANSFER_KEYS = ("kv_ip", "kv_rank", "kv_parallel_size", "kv_buffer_size")


def annotations_are_valid(inputs: RuleInputs) -> Iterator[FieldError]:
    """The annotations that conversion reads hold values of their form, for existing backends."""
    annotations = inputs.booster.metadata.annotations
    if annotations:
        names = [backend.name for backend in inputs.model.backends]
        for annotation in BACKEND_ANNOTATIONS:
            if fault := annotation.fault(annotations, names):
                yield fault


def arguments_fit_engine(inputs: RuleInputs) -> Iterator[FieldError]:
    """The engine's release has every flag of ``config``, and can read its value."""
    found = 0
    for worker, given in inputs.arguments:
        for fault in _faults(worker, given):
            if fault.certain and fault.wrong is not Wrong.DEPRECATED:
                found += 1
                yield _field_error(worker, fault, suggest=found <= _MAX_SUGGESTIONS)


def arguments_fit_together(inputs: RuleInputs) -> Iterator[FieldError]:
    """No arguments are combined with which the engine exits at once."""
    for worker, _ in inputs.arguments:
        for fault, is_certain in _combinations(worker):
            if is_certain:
                yield fault


def arguments_are_current(inputs: RuleInputs) -> Iterator[str]:
    """An engine that is newer than we know may reject an argument; a deprecated one will go."""
    found = 0
    for worker, given in inputs.arguments:
        for fault in _faults(worker, given):
            if not fault.certain or fault.wrong is Wrong.DEPRECATED:
                found += 1
                detail = _detail(worker, fault, suggest=found <= _MAX_SUGGESTIONS)
                yield f"{worker.path.child('config', fault.key)}: {detail}"
        for error, is_certain in _combinations(worker):
            if not is_certain:
                yield str(error)


def releases_are_known(inputs: RuleInputs) -> Iterator[str]:
    """The form of arguments depends on the release, which a tag of one's own does not tell."""
    unknown = [worker for worker, _ in inputs.arguments if engine(worker).release is None]
    if not unknown:
        return
    worker = unknown[0]
    of = engine(worker)
    images = len({each.image for each in unknown})
    more = f" and {images - 1} more" if images > 1 else ""
    yield (
        f"{worker.path}.image: {worker.image}{more} tells no {LABELS[of.name]} release, so "
        f"{of.table.release} is assumed; annotation {ENGINE_RELEASE} states it"
    )


def several_nodes_can_start(inputs: RuleInputs) -> Iterator[str]:
    """Official vLLM images have no Ray since 0.18.0; other images may have it or not."""
    for worker, given in inputs.arguments:
        if worker.pods == 1 or launcher(worker) is not Launcher.RAY:
            continue
        of = engine(worker).release
        path = worker.path.child("config", EXECUTOR_BACKEND)
        if of is None and EXECUTOR_BACKEND not in given:
            yield (
                f"{path}: {worker.image} tells no release, so its {worker.pods} pods are started "
                "with Ray; set mp if the image has no Ray, ray if it has"
            )
        elif of is not None and of >= RAY_GONE:
            yield f"{path}: official vLLM images have no Ray since {RAY_GONE}; mp needs none"


def _faults(worker: WorkerForm, given: Arguments) -> list[Fault]:
    """Returns what is wrong with the arguments, without what other rules report."""
    faults = given.faults
    if not faults:
        return faults
    elsewhere = _CHECKED_ELSEWHERE | ({TRANSFER_FLAG} if worker.type in KV_ROLES else set())
    return [f for f in faults if f.flag not in elsewhere or f.wrong not in _VALUE_FAULTS]


def _field_error(worker: WorkerForm, fault: Fault, *, suggest: bool) -> FieldError:
    path = worker.path.child("config", fault.key)
    detail = _detail(worker, fault, suggest=suggest)
    if fault.wrong in _VALUE_FAULTS:
        return invalid(path, worker.config[fault.key], detail)
    return forbidden(path, detail)


def _detail(worker: WorkerForm, fault: Fault, *, suggest: bool) -> str:
    match fault.wrong:
        case Wrong.OWNED:
            return f"the flag {fault.flag} is written for you; {fault.detail}"
        case Wrong.SPELLING:
            return f"is not spelled as a flag; {fault.detail}"
    return fault.detail + suggestion(engine(worker).table, fault) if suggest else fault.detail


@cached_fact
def _combinations(worker: WorkerForm) -> list[tuple[FieldError, bool]]:
    """Returns the faults of several arguments together, each with whether it is certain."""
    given = arguments(worker)
    may_clash = worker.engine == "vllm" and given.has_any(COMBINED)
    return list(_found_combinations(worker, given)) if may_clash else []


def _found_combinations(worker: WorkerForm, given: Arguments) -> Iterator[tuple[FieldError, bool]]:
    choice = given.get(_TOOL_CHOICE)
    if choice and choice.text in ("true", "") and given.get(_TOOL_PARSER) is None:
        detail = f"{_TOOL_CHOICE} needs the parser of the model's tool calls, for instance hermes"
        yield required(worker.path.child("config", _TOOL_PARSER), detail), True
    compilation = given.get(_COMPILATION)
    if compilation and isinstance(compilation.value, dict) and "level" in compilation.value:
        detail = f"vLLM {_STRICT_TRANSFER} has no level; write mode"
        if (certain := _since(worker)) is not None:
            yield invalid(compilation.path, compilation.value, detail), certain
    try:
        transfer = transfer_config(worker)
    except ValueError:
        return
    if transfer is not None:
        yield from _transfer_faults(worker, transfer)


def _transfer_faults(
    worker: WorkerForm, transfer: dict[str, Any]
) -> Iterator[tuple[FieldError, bool]]:
    path = worker.path.child("config", TRANSFER_FLAG)
    role = transfer.get("kv_role")
    roles = sorted({role for roles in KV_ROLES.values() for role in roles})
    if transfer.get("kv_connector") and worker.type not in KV_ROLES:
        if role is None:
            yield required(path, f"kv_connector needs kv_role: {', '.join(roles)}"), True
        elif role not in roles:
            yield invalid(path, role, f"kv_role must be one of: {', '.join(roles)}"), True
    for key in _OLD_TRANSFER_KEYS:
        if key in transfer and (certain := _since(worker)) is not None:
            detail = f"vLLM {_STRICT_TRANSFER} rejects {key}; leave it out"
            yield invalid(path, transfer[key], detail), certain


def _since(worker: WorkerForm) -> bool | None:
    """Returns whether a change between two tables concerns a worker for certain; None if not."""
    of = engine(worker).release
    if of is None:
        return False
    if of <= _LENIENT_TRANSFER:
        return None
    return of >= _STRICT_TRANSFER
