"""Everything that ``status`` shows, read in one go."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.errors import ApiError
from app.installed import Detector
from app.values.meta import Key, Object, key_of, uid_of
from modelbooster.observe.access import Cluster
from modelbooster.observe.backends import Reports
from modelbooster.observe.columns import age_seconds, conditions_of
from modelbooster.observe.pods.findings import report_pod
from modelbooster.observe.pods.logs import read_tails
from modelbooster.observe.pods.progress import stored_downloads
from modelbooster.observe.reading import Family, Reading, read_families
from modelbooster.observe.verdict import UNHANDLED_SECONDS, Verdict, is_unhandled, verdict_of


@dataclass(frozen=True, slots=True)
class Standing:
    """How a ModelBooster is doing.

    Args:
        family: the ModelBooster and what belongs to it.
        reports: what its pods do, by name of their ModelServing.
        verdict: whether it serves, and why not.
    """

    family: Family
    reports: Reports
    verdict: Verdict

    @property
    def key(self) -> Key:
        """Namespace and name of the ModelBooster."""
        return key_of(self.family.booster)

    def summary(self) -> Object:
        """Returns it as JSON, in a stable format for other tools."""
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "state": str(self.verdict.state),
            "reason": self.verdict.reason,
            "explanations": [
                {"why": found.why, "todo": found.todo} for found in self.verdict.explanations
            ],
            "conditions": [*conditions_of(self.family.booster).values()],
            "children": [
                {"kind": child["kind"], "name": child["metadata"]["name"]}
                for child in self.family.children
            ],
            "pods": [
                {
                    "name": pod.name,
                    "modelServing": serving,
                    "phase": pod.phase,
                    "ready": pod.is_ready,
                    "problem": pod.problem.why if pod.problem else "",
                    "downloads": {
                        name: {"done": round(progress.done, 4), "text": progress.text}
                        for name, progress in pod.downloads.items()
                    },
                }
                for serving, pods in self.reports.items()
                for pod in pods
            ],
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """How ModelBoosters are doing.

    Args:
        standings: one for each, sorted by namespace and name.
        notes: what could not be read, a sentence each.
        now: when it was read.
    """

    standings: tuple[Standing, ...]
    notes: tuple[str, ...]
    now: datetime


async def read_overview(cluster: Cluster, selector: str = "", name: str = "") -> Overview:
    """Reads how ModelBoosters are doing.

    The number of LIST requests does not depend on how many there are, and the logs of at most
    ``MAX_PODS`` pods are read.

    Args:
        cluster: where to look.
        selector: label selector.
        name: only the one of this name.

    Raises:
        NotThere, NotInstalled, NotAllowed: as in ``read_families``.
    """
    reading = await read_families(cluster, selector, name)
    pods = [pod for family in reading.families for pod in family.all_pods()]
    stored = {
        uid_of(pod): download
        for family in reading.families
        if (downloads := stored_downloads(family.booster))
        for pod in family.all_pods()
        if (download := downloads.get(pod["metadata"]["name"]))
    }
    logs, notes = await read_tails(cluster.kube, pods, stored)
    missing = await _missing_fields(cluster, reading)
    standings = []
    for family in reading.families:
        reports = {
            serving: [
                report_pod(
                    pod,
                    logs.get(uid_of(pod)),
                    family.events.get(uid_of(pod), ()),
                    stored.get(uid_of(pod)),
                )
                for pod in members
            ]
            for serving, members in family.pods.items()
        }
        verdict = verdict_of(
            family, reports, reading.now, missing_fields=missing, quotas=reading.quotas
        )
        standings.append(Standing(family, reports, verdict))
    return Overview(tuple(standings), (*reading.missing, *notes), reading.now)


async def _missing_fields(cluster: Cluster, reading: Reading) -> tuple[str, ...]:
    """Returns the fields that the installed definition lacks, if an edit seems to be ignored."""
    late = any(
        is_unhandled(family.booster)
        and (age_seconds(family.booster, reading.now) or 0) > UNHANDLED_SECONDS
        for family in reading.families
    )
    if not late:
        return ()
    try:
        return (await Detector(cluster.kube).detect()).missing
    except ApiError:
        return ()  # the conditions have to do
