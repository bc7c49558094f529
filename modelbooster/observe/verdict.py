"""Says in one line whether a ModelBooster serves, why it does not, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.apis.reasons import Reason
from app.values.meta import Object, is_terminating
from app.values.untyped import as_list
from modelbooster.observe.backends import Reports, backend_explanations
from modelbooster.observe.columns import age_seconds, conditions_of, seconds_since, status_of
from modelbooster.observe.explanation import Explanation
from modelbooster.observe.reading import Family

UNHANDLED_SECONDS = 5.0
"""An edit that has no result after this time is worth a word about the controller."""


class State(StrEnum):
    """Whether a ModelBooster serves."""

    ACTIVE = "active"
    SCALED_TO_ZERO = "scaled to zero"
    WAITING = "not active"
    FAILED = "failed"
    DELETING = "being deleted"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of a ModelBooster.

    Args:
        state: whether it serves.
        reason: the reason of the condition that decides.
        seconds: how long it has been in this state; None if that is not known.
        explanations: why, the most important first; notes about an active one.
    """

    state: State
    reason: str
    seconds: float | None
    explanations: tuple[Explanation, ...] = ()


def verdict_of(
    family: Family,
    reports: Reports,
    now: datetime,
    *,
    missing_fields: Sequence[str] = (),
    quotas: Sequence[Object] = (),
) -> Verdict:
    """Returns the state of a ModelBooster, with causes and remedies.

    Args:
        family: the ModelBooster and what belongs to it.
        reports: what its pods do.
        now: the time of the reading.
        missing_fields: fields that the installed definition of ModelBooster lacks.
        quotas: the ResourceQuotas that were read.
    """
    booster = family.booster
    conditions = conditions_of(booster)
    active, failed = conditions.get("Active", {}), conditions.get("Failed", {})
    initialized = conditions.get("Initialized", {})
    if is_terminating(booster):
        return Verdict(State.DELETING, "", _since_deletion(booster, now), (_deletion(booster),))
    if missing_fields:
        return Verdict(State.FAILED, "", None, (_replaced(missing_fields),))
    if unhandled := _unhandled(booster, now):
        return Verdict(State.WAITING, "", age_seconds(booster, now), (unhandled,))
    since = seconds_since(active.get("lastTransitionTime"), now)
    reason = str(active.get("reason", ""))
    if failed.get("status") == "True":
        cause = str(failed.get("reason", ""))
        found = [_failure(booster, cause, str(failed.get("message", "")))]
        found += (
            backend_explanations(family, reports, now, quotas)
            if cause == Reason.UNSUPPORTED_TYPE
            else ()
        )
        return Verdict(State.FAILED, cause, since, tuple(found))
    held = _held(initialized)
    if active.get("status") == "True":
        state = State.SCALED_TO_ZERO if reason == Reason.SCALED_TO_ZERO else State.ACTIVE
        zero = Explanation(
            "every backend has 0 replicas, so no request is answered", "raise its replicas"
        )
        notes = [zero] if state is State.SCALED_TO_ZERO else []
        notes += _after(str(active.get("message", "")))
        return Verdict(state, reason, since, (*notes, *held))
    if initialized.get("reason") == Reason.RETRYING:
        message = str(initialized.get("message", ""))
        retry = Explanation(f"a request to the API server fails for now: {message}", "wait")
        return Verdict(State.WAITING, str(Reason.RETRYING), since, (retry,))
    found = backend_explanations(family, reports, now, quotas) or [
        Explanation(str(active.get("message", "")))
    ]
    return Verdict(State.WAITING, reason, since, (*found, *held))


def _since_deletion(booster: Object, now: datetime) -> float | None:
    return seconds_since(booster["metadata"].get("deletionTimestamp"), now)


def _deletion(booster: Object) -> Explanation:
    finalizers = as_list(booster["metadata"].get("finalizers"))
    if not finalizers:
        return Explanation("it is being deleted, its children follow")
    names = ", ".join(map(str, finalizers))
    return Explanation(
        f"its deletion waits for the finalizers {names}", "find the controller that owns them"
    )


def _replaced(missing: Sequence[str]) -> Explanation:
    fields = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
    return Explanation(
        f"another definition of ModelBooster is installed, which lacks {fields}; nothing is "
        "written until ours is back",
        "model-booster crd | kubectl apply --server-side --force-conflicts -f -",
    )


def is_unhandled(booster: Object) -> bool:
    """Returns whether the status has no result for the newest edit."""
    seen = status_of(booster).get("observedGeneration", -1)
    handled: bool = isinstance(seen, int) and seen >= booster["metadata"].get("generation", 0)
    return not handled


def _unhandled(booster: Object, now: datetime) -> Explanation | None:
    if not is_unhandled(booster):
        return None
    initialized = conditions_of(booster).get("Initialized", {})
    if initialized.get("reason") in (Reason.RETRYING, Reason.RECONCILING):
        return Explanation(f"the operator is at it: {initialized.get('message', '')}", "wait")
    if (age_seconds(booster, now) or 0) < UNHANDLED_SECONDS:
        return Explanation("it is new, the operator has not handled it yet", "wait")
    what = "edit" if status_of(booster).get("conditions") else "ModelBooster"
    return Explanation(
        f"the operator has not handled this {what}",
        "check that its controller runs and watches this namespace: model-booster doctor",
    )


_REMEDIES: dict[str, str] = {
    Reason.VALIDATION_FAILED: "correct that field: kubectl edit modelbooster {name}",
    Reason.UNSUPPORTED_TYPE: "use vLLM, vLLMDisaggregated, SGLang or SGLangDisaggregated",
    Reason.NAME_CONFLICT: "delete the other object, or rename this ModelBooster or its backend",
    Reason.CONFLICTING: "let only one of the two controllers write it: model-booster doctor",
    "KindUnavailable:": "install kthena's CustomResourceDefinitions",
    "Forbidden:": "upgrade the chart of the operator: its role lacks this right",
    "QuotaExceeded:": "raise that ResourceQuota, or delete objects in the namespace",
    "Rejected:": "correct the field that the message names",
}
"""What to do by the reason of Failed, or by the first word of its message."""


def _failure(booster: Object, reason: str, message: str) -> Explanation:
    todo = _REMEDIES.get(reason) or _REMEDIES.get(message.partition(" ")[0])
    todo = todo or "see the log of the controller"
    return Explanation(message, todo.format(name=booster["metadata"]["name"]))


def _held(initialized: Object) -> list[Explanation]:
    reason, message = initialized.get("reason"), initialized.get("message", "")
    if reason in (Reason.CACHE_WARMUP, Reason.CACHE_WARMUP_FAILED):
        todo = "wait" if reason == Reason.CACHE_WARMUP else "correct what the message names"
        return [Explanation(f"pods wait for their cache: {message}", todo)]
    if reason != Reason.ROLLOUT_HELD:
        return []
    return [
        Explanation(
            f"a restart of pods is held: {message}",
            "allow it as the message says, when a restart suits you",
        )
    ]


def _after(message: str) -> list[Explanation]:
    """Returns the notes that follow the first sentence of the message of Active."""
    _, _, notes = message.partition("; ")
    return [Explanation(notes)] if notes else []
