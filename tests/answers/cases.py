"""One object for each rule, piece of advice and change: what is said of it, and how to fix it.

The YAML files in this folder hold them. ``docs/validation.md`` is generated from them, and the
real kubectl prints what they contain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from app.apis.kinds import (
    MODEL_BOOSTER,
    MODEL_ROUTE,
    PROFILES,
    Profile,
    read_kthena_release,
)
from app.convert.options import Options
from app.lookup import INDEXES, FixedIndexer, StoreLookup
from app.validation import Context, Verdict, validate
from app.validation.rules import ADVICE, RULES, UPDATE_ADVICE
from app.values.meta import Object
from tests.builders import UID, backend, booster_object, worker

FOLDER = Path(__file__).parent
LISTS: Mapping[str, tuple[Callable[..., Any], ...]] = {
    "rules": RULES,
    "advice": ADVICE,
    "changes": UPDATE_ADVICE,
}
"""The lists of ``app.validation.rules``, by the name of the file that holds their cases."""


@dataclass(frozen=True)
class AnswerCase:
    """One object that a rule, a piece of advice or a change speaks of.

    Args:
        rule: who speaks, as ``module.function``.
        fix: what to do about it.
        written: the part of the object that matters.
        kubectl: what kubectl prints on its standard error; "" where it cannot be made to.
        before: the part that matters of the object that it replaces; None if there is none.
        beside: other objects that exist already, ModelBoosters or ModelRoutes.
        release: the kthena release that is installed.
        reading: whether other objects are still being read.
        kthena_namespace: the namespace of kthena's controller manager; "" if it is unknown.
        cache_warmup: whether the operator may create the Jobs of ``cacheWarmup``.
    """

    rule: str
    fix: str
    written: Object
    kubectl: str = ""
    before: Object | None = None
    beside: tuple[Object, ...] = ()
    release: str = "v0.4.0"
    reading: bool = False
    kthena_namespace: str = ""
    cache_warmup: bool = True

    @property
    def object(self) -> Object:
        """The whole object."""
        return whole(self.written)

    @property
    def placed(self) -> Object:
        """The whole object, in the namespace ``default``."""
        return _placed(self.object)

    @property
    def old(self) -> Object | None:
        """The whole object that it replaces."""
        return None if self.before is None else whole(self.before)

    @property
    def others(self) -> tuple[Object, ...]:
        """The other objects, whole."""
        return tuple(map(whole, self.beside))

    @property
    def profile(self) -> Profile:
        """The shape of the children."""
        return PROFILES[self.release]

    def context(self) -> Context:
        """Returns what the verdict depends on besides."""
        stores = {
            resource: FixedIndexer(
                [_placed(obj) for obj in self.others if obj["kind"] == resource.kind],
                INDEXES[resource],
            )
            for resource in (MODEL_BOOSTER, MODEL_ROUTE)
        }
        lookup = StoreLookup(stores, lambda: not self.reading)
        options = Options(
            kthena_release=read_kthena_release(self.release),
            kthena_namespace=self.kthena_namespace,
            cache_warmup=self.cache_warmup,
        )
        return Context(options, self.profile, lookup)

    @property
    def is_by_definition(self) -> bool:
        """Whether the API server refuses the object by itself, before it calls a webhook."""
        return self.rule.startswith("shape.")

    @property
    def refusal(self) -> str:
        """What kubectl prints of the object, without the name of the object."""
        return self.kubectl.partition(" is invalid: ")[2].rstrip("\n")

    def verdict(self) -> Verdict:
        """Returns what is said of the object."""
        old = self.old
        return validate(self.placed, self.context(), old=None if old is None else _placed(old))

    def said(self) -> list[str]:
        """Returns every line that is said of the object."""
        verdict = self.verdict()
        return [*map(str, verdict.faults), *verdict.warnings]


TOO_LARGE = AnswerCase(
    rule="children are small enough to be stored",
    fix="Put long texts into a ConfigMap or Secret of the cluster and name it in envFrom, or into "
    "files of the image; every container of every role has its own copy of env.",
    written={
        "metadata": {"uid": UID},  # of the length that the server's have
        "spec": {
            "backends": [{"env": [{"name": f"A{n}", "value": "x" * 1000} for n in range(400)]}]
        },
    },
    kubectl='The ModelBooster "demo" is invalid: spec.backends[0]: Too long: the ModelServing '
    "would have 1237595 bytes, at most 1048576 fit\n",
)
"""What no rule foresees, because it takes the whole conversion to find it."""


@cache
def cases(list_name: str) -> tuple[AnswerCase, ...]:
    """Returns the cases of one of ``LISTS``, in the order of the file."""
    entries = yaml.safe_load((FOLDER / f"{list_name}.yaml").read_text())
    return tuple(
        AnswerCase(**{**entry, "beside": tuple(entry.get("beside", ()))}) for entry in entries
    )


def rule_name(rule: Callable[..., Any]) -> str:
    """Returns the name of a rule, of a piece of advice or of a change."""
    return f"{rule.__module__.rpartition('.')[2]}.{rule.__name__}"


def rule_names(rules: Iterable[Callable[..., Any]]) -> list[str]:
    """Returns their names."""
    return [rule_name(rule) for rule in rules]


def whole(part: Object) -> Object:
    """Returns a whole object: what a case does not write is as in ``tests.builders``.

    ``spec: null`` means that there is none. Objects of other kinds are whole already.
    """
    if part.get("kind", MODEL_BOOSTER.kind) != MODEL_BOOSTER.kind:
        return part
    metadata: Object = {"name": "demo", **part.get("metadata", {})}
    spec: Object = dict(part.get("spec") or {})
    for form in ("backends", "backend"):
        if form in spec:
            several = spec[form] if form == "backends" else [spec[form]]
            filled = [_backend(**written) for written in several]
            spec[form] = filled if form == "backends" else filled[0]
    obj = booster_object(metadata["name"], metadata=metadata, **spec)
    if "spec" in part and part["spec"] is None:
        del obj["spec"]
    return obj


def _backend(**written: Any) -> Object:
    workers = [
        worker(**{"image": "vllm/vllm-openai:v0.9.2", **each})
        for each in written.pop("workers", [{}])
    ]
    return backend(**{**written, "workers": workers})


def _placed(obj: Object) -> Object:
    return {**obj, "metadata": {"namespace": "default", **obj["metadata"]}}
