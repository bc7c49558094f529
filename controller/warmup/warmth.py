"""How far the warm-ups of a ModelBooster are, and which pods wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from datetime import UTC, datetime

from app.apis.reasons import Reason
from app.convert.pods.inputs import PodInputs
from app.convert.warmup import model_hash
from app.model.names import backend_child_name
from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from app.values.value import value
from controller.status.booster_status import stored_status
from controller.status.conditions import ConditionSet, with_warmup
from controller.status.readiness import BackendReport
from controller.warmup.planner import WarmupPlan, plan_warmup
from controller.warmup.text import waiting_message


@value
class Warmth:
    """How far the warm-ups of a ModelBooster are.

    Args:
        waiting: by name of the ModelServing whose pods wait, what they wait for.
        statuses: the field ``cacheWarmup`` of the status of each backend, by its name.
        downloads: the field ``download`` of those whose Jobs download, by their names.
        new: names of those of them that do not exist yet.
        has_failed: whether a download failed that a ModelServing waits for.
        wait: after how many seconds to look again; None if an event tells.
    """

    waiting: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, Object] = field(default_factory=dict)
    downloads: Mapping[str, Object] = field(default_factory=dict)
    new: frozenset[str] = frozenset()
    has_failed: bool = False
    wait: float | None = None

    def told(self, backends: Iterable[BackendReport]) -> tuple[BackendReport, ...]:
        """Returns the status of the backends with their warm-ups.

        A download of a pod that takes requests comes before those of Jobs.
        """
        found = []
        for report in backends:
            warmup = self.statuses.get(report.name)
            message = report.message
            if warmup and report.serving in self.new:
                message = f"waits until its cache is warm ({warmup['ready']}/{warmup['desired']})"
            download = report.download or self.downloads.get(report.name)
            found.append(replace(report, message=message, warmup=warmup, download=download))
        return tuple(found)

    def shown_in(self, conditions: ConditionSet) -> ConditionSet:
        """Returns conditions that say what pods wait for."""
        why = "; ".join(f'ModelServing "{name}": {why}' for name, why in self.waiting.items())
        reason = Reason.CACHE_WARMUP_FAILED if self.has_failed else Reason.CACHE_WARMUP
        return with_warmup(conditions, reason, why, is_new=bool(self.new))


COLD = Warmth()
"""Nothing is warmed up, and nothing waits."""


class WarmthOfBackends:
    """Collects how far the backends of a ModelBooster are.

    Args:
        before: the field ``cacheWarmup`` of the stored status of each backend.
        servings: the live ModelServings by name.
    """

    def __init__(self, before: Mapping[str, Object], servings: Mapping[str, Object]) -> None:
        self._before = before
        self._servings = servings
        self.statuses: dict[str, Object] = {}
        self._downloads: dict[str, Object] = {}
        self._waiting: dict[str, str] = {}
        self._new: set[str] = set()
        self._has_failed = False

    def add(
        self, inputs: PodInputs, plan: WarmupPlan, message: str, download: Object | None
    ) -> None:
        """Adds a backend whose Jobs are known.

        Args:
            inputs: what its Jobs depend on.
            plan: its Jobs.
            message: how far they are.
            download: what their pods download, see ``backend_download``.
        """
        backend = inputs.backend
        old = self._before.get(backend.name, {})
        model = plan.model if plan.desired and plan.is_warm else old.get("model")
        status: Object = {"desired": plan.desired, "ready": plan.ready}
        status |= {"failed": len(plan.failed)} if plan.failed else {}
        status |= {"message": message} if message else {}
        status |= {"model": model} if model else {}
        self.statuses[backend.name] = status
        if download is not None:
            self._downloads[backend.name] = download
        if not plan.is_warm:
            self._hold(inputs, plan, message)

    def unread(self, warmups: Mapping[str, PodInputs], why: str) -> Warmth:
        """Returns how far the warm-ups are while the Jobs or the nodes are not known."""
        for name, inputs in warmups.items():
            plan = plan_warmup(inputs, [], [], datetime.now(UTC))
            self.statuses[name] = {"desired": 0, "ready": 0, **self._before.get(name, {})}
            self.statuses[name]["message"] = why
            self._hold(inputs, plan, why)
        if not warmups:  # Jobs may be left to delete
            self.statuses = dict(self._before)
        return self.result(None)

    def result(self, wait: float | None) -> Warmth:
        """Returns what was added."""
        new = frozenset(self._new)
        return Warmth(self._waiting, self.statuses, self._downloads, new, self._has_failed, wait)

    def _hold(self, inputs: PodInputs, plan: WarmupPlan, message: str) -> None:
        backend = inputs.backend
        warmup, old = backend.cache_warmup, self._before.get(backend.name, {})
        if warmup is None or warmup.policy == "Background" or old.get("model") == plan.model:
            return
        name = backend_child_name(inputs.model, backend)
        serving = self._servings.get(name)
        if serving is not None and model_hash(_pods(serving)) == plan.model:
            return  # its pods have this model already
        self._new |= {name} if serving is None else set()
        self._has_failed |= bool(plan.failed)
        self._waiting[name] = waiting_message(plan, message, is_new=serving is None)


def stored_warmups(booster: Object) -> dict[str, Object]:
    """Returns the field ``cacheWarmup`` of the stored status of each backend that has it."""
    entries = map(as_dict, as_list(stored_status(booster).get("backendStatuses")))
    return {
        str(entry.get("name")): as_dict(entry["cacheWarmup"])
        for entry in entries
        if entry.get("cacheWarmup")
    }


def _pods(serving: Object) -> list[Object]:
    """Returns the specs of the pod templates of a ModelServing."""
    template = as_dict(as_dict(serving.get("spec")).get("template"))
    roles = map(as_dict, as_list(template.get("roles")))
    names = ("entryTemplate", "workerTemplate")
    return [as_dict(as_dict(role.get(name)).get("spec")) for role in roles for name in names]
