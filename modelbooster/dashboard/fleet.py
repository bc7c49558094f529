"""What the dashboard shows, as JSON for the page."""

from __future__ import annotations

from datetime import datetime

from app.model.canonical import DEFAULT_ROUTE_WEIGHT
from app.values.meta import Object
from app.values.untyped import as_dict, as_list
from modelbooster.observe.columns import (
    age_seconds,
    booster_reason,
    conditions_of,
    ready_backends,
    status_of,
)
from modelbooster.observe.overview import Overview, Standing
from modelbooster.observe.pods.progress import stored_progress
from modelbooster.observe.tree import BAD, BUSY, GOOD, Row, rows_of, warmup_downloads
from modelbooster.observe.verdict import State

_TONES = {State.ACTIVE: GOOD, State.SCALED_TO_ZERO: GOOD, State.FAILED: BAD}


def fleet_of(overview: Overview, context: str) -> Object:
    """Returns what the page shows.

    Args:
        overview: how the ModelBoosters are doing.
        context: name of the cluster, for the title.
    """
    return {
        "context": context,
        "readAt": f"{overview.now:%Y-%m-%dT%H:%M:%SZ}",
        "notes": list(overview.notes),
        "models": [_model(standing, overview) for standing in overview.standings],
    }


def _model(standing: Standing, overview: Overview) -> Object:
    booster, verdict = standing.family.booster, standing.verdict
    tree = rows_of(standing.family, standing.reports, verdict, overview.now)
    return {
        "namespace": standing.key.namespace,
        "name": standing.key.name,
        "model": str(status_of(booster).get("modelName") or standing.key.name),
        "state": str(verdict.state),
        "tone": _TONES.get(verdict.state, BUSY),
        "ready": ready_backends(booster),
        "reason": _reason(standing),
        "since": _since(age_seconds(booster, overview.now), overview.now),
        "traffic": str(status_of(booster).get("traffic") or ""),
        "explanations": [{"why": e.why, "todo": e.todo} for e in verdict.explanations],
        "conditions": [
            {
                key: str(entry.get(key, ""))
                for key in ("type", "status", "reason", "message", "lastTransitionTime")
            }
            for entry in conditions_of(booster).values()
        ],
        "backends": _backends(booster),
        "tree": [_row(row, overview.now) for row in tree[1:]],
        "download": _download(standing),
    }


def _reason(standing: Standing) -> str:
    """Returns why the ModelBooster does not serve; the reason of its conditions otherwise."""
    if standing.verdict.explanations:
        return standing.verdict.explanations[0].why
    return booster_reason(standing.family.booster)


def _backends(booster: Object) -> list[Object]:
    """Returns replicas and configured weight of each backend."""
    spec = as_dict(booster.get("spec"))
    single = [spec["backend"]] if isinstance(spec.get("backend"), dict) else []
    listed = [*map(as_dict, as_list(spec.get("backends"))), *single]
    statuses = {
        str(entry.get("name")): entry
        for entry in map(as_dict, as_list(status_of(booster).get("backendStatuses")))
    }
    weights = [_weight(backend) for backend in listed]
    whole = sum(weights)
    found = []
    for backend, weight in zip(listed, weights, strict=True):
        name = str(backend.get("name", ""))
        status = statuses.get(name, {})
        found.append(
            {
                "name": name,
                "type": str(backend.get("type", "")),
                "source": str(backend.get("modelURI", "")),
                "weight": weight,
                "share": weight / whole if whole else 0.0,
                "ready": int(status.get("readyReplicas") or 0),
                "replicas": int(status.get("replicas") or 0),
                "message": str(status.get("message") or ""),
            }
        )
    return found


def _weight(backend: Object) -> int:
    weight = backend.get("routeWeight")
    return weight if isinstance(weight, int) else DEFAULT_ROUTE_WEIGHT


def _row(row: Row, now: datetime) -> Object:
    return {
        "label": row.label,
        "depth": len(row.lasts),
        "ready": row.ready,
        "status": row.status,
        "tone": row.tone,
        "since": _since(row.seconds, now),
        "detail": row.detail,
        "done": row.done,
    }


def _download(standing: Standing) -> float | None:
    """Returns the progress of the download that is least far; None if nothing is downloaded."""
    running = [
        progress.done
        for pods in standing.reports.values()
        for pod in pods
        for progress in pod.downloads.values()
    ]
    warmups = warmup_downloads(standing.family)
    running += [stored_progress(download).done for download in warmups.values()]
    return min(running, default=None)


def _since(seconds: float | None, now: datetime) -> int | None:
    """Returns when an age began, in seconds of the epoch: that stays the same."""
    return None if seconds is None else round(now.timestamp() - seconds)
