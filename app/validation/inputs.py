"""The inputs of rules: a ModelBooster as written, what it means, and the context."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.apis.modelbooster import Backend, ModelBooster, Spec
from app.model.arguments import Arguments, arguments
from app.model.canonical import canonical
from app.model.forms import BackendForm, Model, WorkerForm
from app.model.roles import DISAGGREGATED_TYPES, served
from app.validation.config import config_fault
from app.validation.context import Context
from app.validation.subjects import EVERY_SUBJECT, subjects_of
from app.values.fields import FieldError, Path, SpecError
from app.values.meta import Object
from app.values.value import value

_WORKERS = {
    "vLLM": ["server"],
    "SGLang": ["server"],
    **{kind: ["decode", "prefill"] for kind in DISAGGREGATED_TYPES},
}
"""The workers of a backend by its type, for the types that are served (rules R5, R6 and R13)."""


@value
class RuleInputs:
    """What rules know about one ModelBooster.

    Args:
        obj: the object as the API server would store it.
        booster: the same object, parsed.
        model: its canonical form.
        context: what a verdict depends on besides the object.
        is_update: whether the object replaces a stored one.
        config_faults: path and fault of each worker's ``config`` that no other rule may read.
        spec: the parsed spec; empty if the object has none.
        all_backends: path and content of every backend, of both forms if both are used.
        backends: the backends in effect, each in canonical form and as written.
        served_backends: those of them that become children.
        served_workers: their workers, each with its backend.
        readable_backends: the served backends that have exactly the workers of their type, all
            with a ``config`` that can be read.
        arguments: the workers of these, each with its arguments, unless they cannot be written.
        subjects: whether the object has each of ``app.validation.subjects.Subject``.
    """

    obj: Object
    booster: ModelBooster
    model: Model
    context: Context
    is_update: bool
    config_faults: tuple[tuple[Path, str], ...]
    spec: Spec
    all_backends: tuple[tuple[Path, Backend], ...]
    backends: tuple[tuple[BackendForm, Backend], ...]
    served_backends: tuple[BackendForm, ...]
    served_workers: list[tuple[BackendForm, WorkerForm]]
    readable_backends: tuple[BackendForm, ...]
    arguments: list[tuple[WorkerForm, Arguments]]
    subjects: tuple[bool, ...]

    @property
    def has_model_policy(self) -> bool:
        """Whether one policy scales all backends, by their cost."""
        return self.model.policy is not None

    @property
    def backends_path(self) -> Path:
        """The field that holds the backends: ``spec.backend`` or ``spec.backends``."""
        return Path("spec.backend" if self.spec.backends is None else "spec.backends")


def rule_inputs(obj: Object, context: Context, *, is_update: bool = False) -> RuleInputs:
    """Returns what rules know about an object.

    Raises:
        pydantic.ValidationError: the object does not match the schema.
    """
    booster = ModelBooster.model_validate(obj)
    model = canonical(booster, default_scheduler_name=context.options.default_scheduler_name)
    spec = booster.spec or Spec()
    single = [spec.backend] if spec.backend else []
    backends = tuple(
        zip(model.backends, single if spec.backends is None else spec.backends, strict=True)
    )
    all_backends = tuple([(form.path, backend) for form, backend in backends])
    if spec.backends is not None and spec.backend is not None:
        all_backends += ((Path("spec.backend"), spec.backend),)
    config_faults = _config_faults(model)
    forms = served(model)
    readable = tuple([form for form in forms if _is_readable(form, config_faults)])
    return RuleInputs(
        obj=obj,
        booster=booster,
        model=model,
        context=context,
        is_update=is_update,
        config_faults=config_faults,
        spec=spec,
        all_backends=all_backends,
        backends=backends,
        served_backends=forms,
        served_workers=[(form, worker) for form in forms for worker in form.workers],
        readable_backends=readable,
        arguments=_arguments(readable),
        # Some rules look at both forms of backends, and an object with both is rejected anyway.
        subjects=EVERY_SUBJECT
        if len(all_backends) > len(backends)
        else subjects_of(
            model.backends,
            has_policy=spec.autoscaling_policy is not None,
            has_others=context.lookup is not None,
        ),
    )


def _is_readable(form: BackendForm, config_faults: tuple[tuple[Path, str], ...]) -> bool:
    if sorted([worker.type for worker in form.workers]) != _WORKERS[form.type]:
        return False
    if not config_faults:
        return True
    unreadable = {path for path, _ in config_faults}
    return not any(worker.path.child("config") in unreadable for worker in form.workers)


def _arguments(forms: tuple[BackendForm, ...]) -> list[tuple[WorkerForm, Arguments]]:
    found = []
    for form in forms:
        for worker in form.workers:
            try:
                found.append((worker, arguments(worker)))
            except SpecError:
                continue  # ``engines.arguments_are_said_once`` reports it
    return found


def _config_faults(model: Model) -> tuple[tuple[Path, str], ...]:
    workers = [worker for backend in model.backends for worker in backend.workers if worker.config]
    return tuple(
        [
            (worker.path.child("config"), fault)
            for worker in workers
            if (fault := config_fault(worker.config)) is not None
        ]
    )


Rule = Callable[[RuleInputs], Iterator[FieldError]]
"""Yields faults; an object with any is rejected."""

Advice = Callable[[RuleInputs], Iterator[str]]
"""Yields admission warnings of about 120 characters: the object is valid but may surprise."""

UpdateAdvice = Callable[[Model, Model], Iterator[str]]
"""Yields admission warnings about an update, from the model before and after it."""
