"""The devices that an engine needs, and those that its pods have."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from app.model.forms import BackendForm, WorkerForm
from app.model.roles import devices, is_disaggregated
from app.validation.inputs import RuleInputs
from app.validation.rules.running.given import switch_of, whole


def devices_fit_parallelism(inputs: RuleInputs) -> Iterator[str]:
    """An engine waits forever for missing devices, and leaves surplus devices idle.

    There is no warning if no known device is requested, because there may be other devices.
    """
    for form, worker in inputs.served_workers:
        if not worker.resources:
            continue
        pods = 1 if is_disaggregated(form) else worker.pods
        each = devices(worker)
        if not each:
            continue
        sizes = _sizes(form, worker, pods)
        need, have = prod(sizes.values()), each * pods
        if need in (0, have):
            continue
        told = " x ".join(f"{size} ({name})" for name, size in sizes.items())
        yield (
            f"{worker.path}: {told.removesuffix(')')} parallel size) = {need} devices, but "
            f"{each} per pod x {pods} pods = {have}; "
            + ("the engine will not start" if have < need else "some stay idle")
        )


def _sizes(form: BackendForm, worker: WorkerForm, pods: int) -> dict[str, int]:
    """Returns the sizes whose product is the number of devices of one engine.

    The ranks of data parallelism have devices of their own. Those of decode context parallelism
    and of expert parallelism share the devices of the others.
    """
    sizes = {
        "tensor": whole(worker, "tensor-parallel-size", "tp-size") or 1,
        "pipeline": whole(worker, "pipeline-parallel-size", "pp-size") or 1,
    }
    context = whole(worker, "prefill-context-parallel-size") or 1
    ranks = _ranks(form, worker, pods)
    if context > 1:
        sizes["prefill context"] = context
    if ranks != 1:
        sizes["data"] = ranks
    return sizes


def _ranks(form: BackendForm, worker: WorkerForm, pods: int) -> int:
    """Returns how many ranks of data parallelism run in the pods of one engine."""
    if form.type == "SGLang":
        shared = switch_of(worker, "enable-dp-attention")
        if shared is not None and shared[1]:
            return 1  # the ranks share the devices of tensor parallelism
    if whole(worker, "data-parallel-rank") is not None:
        return 1  # each rank is an engine of its own
    local = whole(worker, "data-parallel-size-local")
    if local is not None:
        return local * pods
    return whole(worker, "data-parallel-size", "dp-size") or 1
