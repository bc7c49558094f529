"""The tree of a ModelBooster: children, pods and downloads, a row each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from modelbooster.observe.backends import Reports
from modelbooster.observe.columns import (
    age_seconds,
    conditions_of,
    ready_backends,
    ready_replicas,
    route_model,
    serving_status,
    status_of,
)
from modelbooster.observe.pods.findings import PodReport
from modelbooster.observe.pods.progress import stored_downloads, stored_progress
from modelbooster.observe.reading import Family
from modelbooster.observe.verdict import State, Verdict

GOOD, BUSY, BAD, QUIET = "good", "busy", "bad", "quiet"


@dataclass(frozen=True, slots=True)
class Row:
    """One object, or one download.

    Args:
        label: kind and name.
        lasts: for each level above the row, whether it is the last of its siblings.
        ready: what is ready of it, ``1/2``; ``""`` if that has no meaning.
        status: its state in a word; ``""`` if it has none.
        tone: how good that is: good, busy, bad or quiet.
        seconds: its age; None if it has none.
        detail: a reason, or more about it.
        done: the finished part of a download or a roll-out, 0 to 1; None for no bar.
    """

    label: str
    lasts: tuple[bool, ...]
    ready: str = ""
    status: str = ""
    tone: str = QUIET
    seconds: float | None = None
    detail: str = ""
    done: float | None = None


def rows_of(
    family: Family, reports: Reports, verdict: Verdict, now: datetime, *, pods: bool = True
) -> list[Row]:
    """Returns the tree of a ModelBooster, from the top.

    Args:
        family: the ModelBooster and what belongs to it.
        reports: what its pods do.
        verdict: its state.
        now: the time that ages count to.
        pods: whether to show pods that are ready.
    """
    booster = family.booster
    good = verdict.state in (State.ACTIVE, State.SCALED_TO_ZERO)
    active = conditions_of(booster).get("Active", {})
    rows = [
        Row(
            label=f"ModelBooster/{booster['metadata']['name']}",
            lasts=(),
            ready=ready_backends(booster),
            status=str(verdict.state).capitalize(),
            tone=GOOD if good else BAD if verdict.state is State.FAILED else BUSY,
            seconds=age_seconds(booster, now),
            detail=verdict.reason or str(active.get("reason", "")),
        )
    ]
    children = _ordered(family.children)
    told = " ".join(found.why for found in verdict.explanations)
    rows += _warmups(family, told, has_more=bool(children))
    for at, child in enumerate(children):
        is_last = at == len(children) - 1
        rows.append(_child(child, is_last, booster, now))
        if child["kind"] == "ModelServing":
            shown = reports.get(child["metadata"]["name"], ())
            shown = [pod for pod in shown if pods or not pod.is_ready]
            for number, pod in enumerate(shown):
                rows += _pod(pod, (is_last, number == len(shown) - 1), now, told)
    return rows


def warmup_downloads(family: Family) -> dict[str, Object]:
    """Returns what the status says of downloads of warm-up Jobs, by name of the backend.

    Only those whose progress is known.

    Args:
        family: the ModelBooster and what belongs to it.
    """
    if not family.has_pods_read:
        return {}  # it may be the download of a pod that is not shown
    pods = {pod["metadata"]["name"] for pod in family.all_pods()}
    told = stored_downloads(family.booster)
    found = {}
    for entry in map(as_dict, as_list(status_of(family.booster).get("backendStatuses"))):
        pod = str(as_dict(entry.get("download")).get("pod"))
        if entry.get("cacheWarmup") and pod in told and pod not in pods:
            found[str(entry.get("name"))] = told[pod]
    return found


def _warmups(family: Family, told: str, *, has_more: bool) -> list[Row]:
    """Returns how far the caches of the backends are. A message that is told is not repeated."""
    entries = map(as_dict, as_list(status_of(family.booster).get("backendStatuses")))
    downloads = warmup_downloads(family)
    warmed = [entry for entry in entries if as_dict(entry.get("cacheWarmup"))]
    found = []
    for entry in warmed:
        warmup = as_dict(entry["cacheWarmup"])
        ready, desired = warmup.get("ready") or 0, warmup.get("desired") or 0
        message = str(warmup.get("message") or "")
        is_busy, has_failed = ready < desired, bool(warmup.get("failed"))
        is_last = not has_more and entry is warmed[-1]
        found.append(
            Row(
                label=f"Cache/{entry.get('name')}",
                lasts=(is_last,),
                ready=f"{ready}/{desired}",
                status="Failed" if has_failed else "Downloading" if is_busy else "Warm",
                tone=BAD if has_failed else BUSY if is_busy else GOOD,
                detail="" if message in told else message,
                done=ready / desired if is_busy else None,
            )
        )
        if download := downloads.get(str(entry.get("name"))):
            progress = stored_progress(download)
            pods = download.get("pods") or 1
            found.append(
                Row(
                    label=f"Pod/{download['pod']}",
                    lasts=(is_last, True),
                    status=f"{progress.done:.0%}",
                    tone=BUSY,
                    detail=progress.text + (f" (of {pods} pods that download)" if pods > 1 else ""),
                    done=progress.done,
                )
            )
    return found


def _ordered(children: tuple[Object, ...]) -> list[Object]:
    """Returns the children with those that have pods first."""
    order = ("ModelServing", "ModelServer", "ModelRoute")
    return sorted(
        children,
        key=lambda c: order.index(c["kind"]) if c["kind"] in order else len(order),
    )


def _child(child: Object, is_last: bool, booster: Object, now: datetime) -> Row:
    kind, name = child["kind"], child["metadata"]["name"]
    base = Row(f"{kind}/{name}", (is_last,), seconds=age_seconds(child, now))
    if kind == "ModelServing":
        return _serving(base, child)
    if kind == "ModelRoute":
        shares = str(status_of(booster).get("traffic") or "")
        model = f'requests for model "{route_model(child)}"'
        return _with(base, detail=f"{model}: {shares}" if shares else model)
    return base


def _serving(base: Row, serving: Object) -> Row:
    status = serving_status(serving)
    counts = status_of(serving)
    whole, updated = counts.get("replicas") or 0, counts.get("updatedReplicas") or 0
    is_updating = status == "Updating" and whole > 0
    return _with(
        base,
        ready=ready_replicas(serving),
        status=status,
        tone=GOOD if status == "Available" else QUIET if status == "Unknown" else BUSY,
        detail=f"{updated}/{whole} replicas updated" if is_updating else "",
        done=updated / whole if is_updating else None,
    )


def _pod(pod: PodReport, lasts: tuple[bool, ...], now: datetime, told: str) -> Iterator[Row]:
    """Yields a pod and its downloads. A problem that is told already is not repeated."""
    restarts = max(
        (
            as_dict(container).get("restartCount", 0)
            for field in ("initContainerStatuses", "containerStatuses")
            for container in as_list(status_of(pod.pod).get(field))
        ),
        default=0,
    )
    problem = pod.problem.why if pod.problem else ""
    detail = "" if problem in told else problem
    if restarts and not detail:
        detail = "1 restart" if restarts == 1 else f"{restarts} restarts"
    yield Row(
        label=f"Pod/{pod.name}",
        lasts=lasts,
        ready=pod.ready,
        status="Ready" if pod.is_ready else pod.phase,
        tone=BAD if pod.problem else GOOD if pod.is_ready else BUSY,
        seconds=age_seconds(pod.pod, now),
        detail=detail,
    )
    downloads = [*pod.downloads.items()]
    for at, (name, progress) in enumerate(downloads):
        yield Row(
            label=name,
            lasts=(*lasts, at == len(downloads) - 1),
            status=f"{progress.done:.0%}",
            tone=BUSY,
            detail=progress.text,
            done=progress.done,
        )


def _with(row: Row, **fields: object) -> Row:
    values = {name: getattr(row, name) for name in Row.__slots__}
    return Row(**{**values, **fields})
