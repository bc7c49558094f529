"""Runs every rule on an object and collects faults, warnings and children."""

from __future__ import annotations

import re

from pydantic import ValidationError

from app.apis.modelbooster import ModelBooster
from app.convert import child_drafts
from app.errors import InvalidSpec
from app.model.canonical import canonical
from app.model.children import Desired, Draft, stamped
from app.model.forms import Model
from app.validation.context import Context
from app.validation.inputs import Rule, RuleInputs, rule_inputs
from app.validation.rules import ADMISSION_ONLY, ADVICE, CONTROLLER_RULES, RULES, UPDATE_ADVICE
from app.validation.selection import Selection
from app.validation.unchanged import is_unchanged
from app.values.fields import Cause, FieldError, Path, SpecError
from app.values.meta import Object
from app.values.untyped import as_dict
from app.values.value import value

MAX_FAULTS = 20
"""Faults reported at once, so that they fit on a screen."""


_RULES = Selection(RULES)
_CONTROLLER_RULES = Selection(CONTROLLER_RULES)
_ADVICE = Selection(ADVICE)


@value
class Verdict:
    """The result of validation.

    Args:
        model: the canonical form; None if the object does not match the schema, or was not checked
            because it is being deleted.
        faults: why the object is rejected; empty if it is valid.
        warnings: admission warnings; empty if there are faults.
        drafts: the children; empty if there are faults.
    """

    model: Model | None
    faults: tuple[FieldError, ...] = ()
    warnings: tuple[str, ...] = ()
    drafts: tuple[Draft, ...] = ()


def validate(obj: Object, context: Context, *, old: Object | None = None) -> Verdict:
    """Checks an object against every rule, as admission does.

    An object that is being deleted always passes.

    Args:
        obj: the object as the API server stores it. Objects from other sources go through
            ``app.apis.pruning.pruned`` first.
        context: what the verdict depends on besides the object.
        old: the object that it replaces. Faults that the old object already has are left out, so
            they do not block an update. Neither do faults that the controller ignores, if the value
            at fault is unchanged. The verdict warns of those.
    """
    if _is_being_deleted(obj):
        return Verdict(None)
    inputs, faults, children = _check(obj, context, _RULES, update=old is not None)
    kept: list[str] = []
    if faults and old is not None:
        _, known, _ = _check(old, context, _RULES, update=True)
        faults = _new_faults(faults, known, obj, old)
        ignored = _ignored_faults(inputs) if inputs else []
        unchanged = [fault for fault in ignored if is_unchanged(fault.path, obj, old)]
        faults = tuple(fault for fault in faults if fault not in unchanged)
        kept = [str(fault) for fault in ignored if fault not in faults]
    if faults:
        return Verdict(inputs.model if inputs else None, _at_most(faults))
    if inputs is None:
        return Verdict(None)
    return Verdict(inputs.model, (), (*_warnings(inputs, old), *kept), tuple(children))


def validate_and_convert(obj: Object, context: Context) -> tuple[Model, list[Desired]]:
    """Returns the canonical form and the desired children of a stored object, without warnings.

    Raises:
        InvalidSpec: the object breaks a rule of the controller or cannot be converted; holds every
            fault. It holds none if the object is being deleted.
    """
    if _is_being_deleted(obj):
        raise InvalidSpec(())
    inputs, faults, drafts = _check(obj, context, _CONTROLLER_RULES, update=False)
    if faults or inputs is None:
        raise InvalidSpec(_at_most(faults))
    model = inputs.model
    return model, [stamped(model, draft) for draft in drafts]


def _is_being_deleted(obj: Object) -> bool:
    return bool(as_dict(obj.get("metadata")).get("deletionTimestamp"))


def _check(
    obj: Object, context: Context, rules: Selection[Rule], *, update: bool
) -> tuple[RuleInputs | None, tuple[FieldError, ...], list[Draft]]:
    """Returns the inputs of the rules (None if the schema rejects the object), faults, children."""
    try:
        inputs = rule_inputs(obj, context, is_update=update)
    except ValidationError as exc:
        return None, _schema_faults(obj, context, rules, exc, update=update), []
    found = _found(rules, inputs)
    if found:
        return inputs, tuple(dict.fromkeys(found)), []
    try:
        # Conversion finds faults that no rule checks, such as a child that is too large.
        children = child_drafts(inputs.model, context.release_profile, context.options)
    except SpecError as exc:
        return inputs, (exc.fault,), []
    return inputs, (), children


def _schema_faults(
    obj: Object,
    context: Context,
    rules: Selection[Rule],
    refusal: ValidationError,
    *,
    update: bool,
) -> tuple[FieldError, ...]:
    """Returns the faults of the schema, and those of the rules that can still be checked."""
    # Few objects need them, and the schema of the definition, which they read.
    from app.apis.faults import schema_faults
    from app.validation.partial import faults_beside

    def check(repaired: Object) -> tuple[FieldError, ...]:
        inputs = rule_inputs(repaired, context, is_update=update)
        return tuple(_found(rules, inputs))

    found = tuple(schema_faults(obj, refusal))
    return (*found, *dict.fromkeys(faults_beside(obj, found, check)))


def _found(rules: Selection[Rule], inputs: RuleInputs) -> list[FieldError]:
    return [fault for rule in rules.about(inputs.subjects) for fault in rule(inputs)]


def _ignored_faults(inputs: RuleInputs) -> list[FieldError]:
    """Returns the faults that the controller does not check."""
    return [fault for rule in RULES if rule in ADMISSION_ONLY for fault in rule(inputs)]


def _warnings(inputs: RuleInputs, old: Object | None) -> list[str]:
    found: list[str] = []
    # Every update rule compares specs.
    if old is not None and old.get("spec") != inputs.obj.get("spec"):
        before = _model_of(old, inputs.context)
        if before is not None:
            found = [text for change in UPDATE_ADVICE for text in change(before, inputs.model)]
    return found + [text for piece in _ADVICE.about(inputs.subjects) for text in piece(inputs)]


def _model_of(old: Object, context: Context) -> Model | None:
    """Returns the canonical form of a stored object; None if it no longer matches the schema."""
    try:
        booster = ModelBooster.model_validate(old)
    except ValidationError:
        return None
    return canonical(booster, default_scheduler_name=context.options.default_scheduler_name)


_BACKEND = r"spec\.backend(?:s\[([0-9]+)\])?(?=[.\[]|$)"


def _new_faults(
    faults: tuple[FieldError, ...], known: tuple[FieldError, ...], obj: Object, old: Object
) -> tuple[FieldError, ...]:
    """Returns the faults that the old object does not have, even if its backends were reordered."""
    before = {_fault_identity(fault, old) for fault in known}
    return tuple(fault for fault in faults if _fault_identity(fault, obj) not in before)


def _fault_identity(fault: FieldError, obj: Object) -> tuple[str, str]:
    """Returns path and message of a fault; the path has the backend's name instead of its index."""
    path = str(fault.path)
    match = re.match(_BACKEND, path)
    if match is None:
        return path, fault.message
    spec = as_dict(obj.get("spec"))
    listed = spec.get("backends") if match[1] else [spec.get("backend")]
    position = int(match[1] or 0)
    backend = listed[position] if isinstance(listed, list) and position < len(listed) else None
    return f"{as_dict(backend).get('name')}{path[match.end() :]}", fault.message


def _at_most(faults: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    left_out = len(faults) - (MAX_FAULTS - 1)
    if left_out <= 1:
        return faults
    rest = FieldError(Path("spec"), Cause.INVALID, f"Invalid value: {left_out} more faults")
    return (*faults[: MAX_FAULTS - 1], rest)
