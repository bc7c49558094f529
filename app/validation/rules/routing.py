"""Rules about names and the ModelRoute."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from app.apis.modelbooster import StringMatch
from app.convert.model_route import backends_by_adapter, check_adapter_is_reachable
from app.model.names import adapter_names, check_name_budget
from app.model.roles import SERVED_TYPES
from app.validation.inputs import RuleInputs
from app.validation.rules.facts import fault_of
from app.values.fields import FieldError, Path, invalid

GENERATED_SUFFIX = "x" * 5
"""Placeholder for the suffix that the API server appends to ``metadata.generateName``."""


def names_leave_room(inputs: RuleInputs) -> Iterator[FieldError]:
    """The names of model and backend leave room for the suffixes that kthena appends.

    A generated name counts with the five characters that the API server appends.
    """
    begin = inputs.obj["metadata"].get("generateName")
    model = inputs.model
    if not model.name and isinstance(begin, str):
        model = replace(model, name=begin + GENERATED_SUFFIX)
    for form, _ in inputs.backends:
        if form.type in SERVED_TYPES:
            fault = fault_of(check_name_budget, model, form)
            # A missing worker is the fault of another rule.
            if fault and fault.path == form.path.child("name"):
                yield fault


def lora_names_differ_from_model(inputs: RuleInputs) -> Iterator[FieldError]:
    """No adapter has the name of the model.

    Upstream's D1, and the same for ``spec.name``: the router looks up models first.
    """
    taken = {inputs.model.name, inputs.model.route_name}
    for form, _ in inputs.backends:
        for position, adapter in enumerate(form.lora_adapters):
            if adapter.name in taken:
                at = form.path.child("loraAdapters").index(position).child("name")
                yield invalid(at, adapter.name, "lora name cannot be the same as model name")


def lora_names_are_few(inputs: RuleInputs) -> Iterator[FieldError]:
    """There are at most ten adapters with different names.

    Each has its own rule in the ModelRoute.
    """
    if fault := fault_of(adapter_names, inputs.model):
        yield fault


def some_backend_has_weight(inputs: RuleInputs) -> Iterator[FieldError]:
    """At least one served backend has a ``routeWeight`` above 0."""
    weights = [form.route_weight for form, _ in inputs.backends if form.type in SERVED_TYPES]
    if weights and not any(weights):
        single = inputs.spec.backends is None
        yield invalid(
            Path("spec.backend.routeWeight" if single else "spec.backends"),
            0,
            "at least one backend needs a routeWeight greater than 0",
        )


def adapters_are_reachable(inputs: RuleInputs) -> Iterator[FieldError]:
    """At least one backend with an adapter has a ``routeWeight`` above 0.

    Each adapter has a rule in the ModelRoute whose targets are these backends.
    """
    backends = inputs.served_backends
    if len(backends) == 1 or not any(form.route_weight for form in backends):
        return  # one route rule takes every request, or ``some_backend_has_weight`` has reported
    for adapter, having in backends_by_adapter(backends).items():
        if fault := fault_of(check_adapter_is_reachable, adapter, having):
            yield fault


def match_patterns_compile(inputs: RuleInputs) -> Iterator[FieldError]:
    """Every ``regex`` in ``modelMatch`` is a valid RE2 expression.

    The router uses this dialect. Matching takes linear time.
    """
    match = inputs.spec.model_match
    if match is None:
        return
    at = Path("spec.modelMatch")
    if match.uri is not None:
        yield from _pattern_fault(at.child("uri"), match.uri)
    for name, header in (match.headers or {}).items():
        yield from _pattern_fault(at.child("headers").key(name), header)


def _pattern_fault(at: Path, match: StringMatch) -> Iterator[FieldError]:
    if match.regex is None:
        return
    if _ONE_BYTE.search(match.regex):
        yield invalid(
            at.child("regex"),
            match.regex,
            "invalid regular expression: invalid escape sequence: \\C",
        )
        return
    import re2  # few ModelBoosters have a pattern

    quietly = re2.Options()
    quietly.log_errors = False
    try:
        re2.compile(match.regex, quietly)
    except re2.error as exc:
        reason = exc.args[0] if exc.args else "it does not compile"
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        yield invalid(at.child("regex"), match.regex, f"invalid regular expression: {text}")


_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")
"""``\\C``, any single byte: RE2 accepts it, Go's regexp does not."""
