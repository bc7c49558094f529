"""What rules look at: the object as written, what it means, and what else is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from app.apis.modelbooster import Backend, ModelBooster, Spec
from app.model.canonical import canonical
from app.model.forms import BackendForm, Model, WorkerForm
from app.model.roles import DISAGGREGATED, served
from app.validation.config import config_fault
from app.validation.context import Context
from app.values.fields import FieldError, Path
from app.values.meta import Object
from app.values.value import value

_WORKERS = {"vLLM": ["server"], DISAGGREGATED: ["decode", "prefill"]}
"""What workers a backend of a served type has, as R5 and R6 want it."""


@value
class Case:
    """One ModelBooster before the rules.

    Args:
        obj: as the API server would store it.
        booster: the same, typed.
        model: what it means.
        context: what else is known.
        update: whether it replaces an object that is stored already.
        config_faults: which config of a worker nothing but a rule may read, and why.
        spec: what the user wrote; empty if there is no spec at all.
        written: every backend as it was written, also where both forms are used at once.
        listed: the backends that count: what each means, and how it was written.
        served: those of them that become children.
        engines: the workers of these, each with its backend.
        readable: the served backends that have just their workers and whose config can be read.
    """

    obj: Object
    booster: ModelBooster
    model: Model
    context: Context
    update: bool
    config_faults: tuple[tuple[Path, str], ...]
    spec: Spec
    written: tuple[tuple[Path, Backend], ...]
    listed: tuple[tuple[BackendForm, Backend], ...]
    served: tuple[BackendForm, ...]
    engines: list[tuple[BackendForm, WorkerForm]]
    readable: tuple[BackendForm, ...]

    @property
    def model_scope(self) -> bool:
        """Whether one policy scales all backends, by their cost."""
        return self.model.policy is not None

    def backends_path(self) -> Path:
        """Returns where the backends stand as a whole."""
        return Path("spec.backend" if self.spec.backends is None else "spec.backends")


def case_of(obj: Object, context: Context, *, update: bool = False) -> Case:
    """Returns the case of an object.

    Raises:
        pydantic.ValidationError: the schema does not accept it.
    """
    booster = ModelBooster.model_validate(obj)
    model = canonical(booster, default_scheduler_name=context.options.default_scheduler_name)
    spec = booster.spec or Spec()
    single = [spec.backend] if spec.backend else []
    listed = tuple(
        zip(model.backends, single if spec.backends is None else spec.backends, strict=True)
    )
    written = tuple([(form.path, backend) for form, backend in listed])
    if spec.backends is not None and spec.backend is not None:
        written += ((Path("spec.backend"), spec.backend),)
    faults = tuple(_config_faults(model))
    forms = served(model)
    return Case(
        obj=obj,
        booster=booster,
        model=model,
        context=context,
        update=update,
        config_faults=faults,
        spec=spec,
        written=written,
        listed=listed,
        served=forms,
        engines=[(form, worker) for form in forms for worker in form.workers],
        readable=tuple([form for form in forms if _is_readable(form, faults)]),
    )


def _is_readable(form: BackendForm, faults: tuple[tuple[Path, str], ...]) -> bool:
    if sorted([worker.type for worker in form.workers]) != _WORKERS[form.type]:
        return False
    if not faults:
        return True
    unreadable = {path for path, _ in faults}
    return not any(worker.path.child("config") in unreadable for worker in form.workers)


def _config_faults(model: Model) -> Iterator[tuple[Path, str]]:
    for backend in model.backends:
        for worker in backend.workers:
            fault = config_fault(worker.config)
            if fault is not None:
                yield worker.path.child("config"), fault


Rule = Callable[[Case], Iterator[FieldError]]
"""Yields what must not be; an object is refused for any of it."""

Advice = Callable[[Case], Iterator[str]]
"""Yields what is allowed and may surprise; one line each, of some 120 characters."""

Change = Callable[[Model, Model], Iterator[str]]
"""Yields what an edit will do that may surprise; takes the meaning before and after it."""
