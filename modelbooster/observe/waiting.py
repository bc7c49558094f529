"""Waits until a ModelBooster has a state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum

from app.apis.kinds import MODEL_BOOSTER
from app.errors import ApiError, Gone, Unreachable
from app.values.meta import Object, is_terminating
from modelbooster.observe.access import Cluster
from modelbooster.observe.columns import conditions_of
from modelbooster.observe.reading import explained

RETRY_SECONDS = 1.0
"""Pause after a request that failed."""


class Goal(StrEnum):
    """What to wait for."""

    ACTIVE = "active"
    INITIALIZED = "initialized"
    FAILED = "failed"
    DELETED = "deleted"


class Ending(StrEnum):
    """How a wait ended."""

    MET = "met"
    NEVER = "never"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Waited:
    """The result of a wait.

    Args:
        ending: how it ended.
        why: why the goal cannot be met, or what was missing at the end; ``""`` if it is met.
    """

    ending: Ending
    why: str = ""


def progress_of(
    booster: Object | None, goal: Goal, *, was_there: bool
) -> tuple[Ending | None, str]:
    """Returns whether a wait is over, and the state in one line.

    Args:
        booster: the ModelBooster; None if it does not exist.
        goal: what is waited for.
        was_there: whether it has existed since the wait began.

    Returns:
        How the wait ends, None if it goes on; and what is reported now.
    """
    if booster is None:
        if goal is Goal.DELETED:
            return Ending.MET, ""
        return Ending.NEVER, "it was deleted" if was_there else "it does not exist"
    if goal is Goal.DELETED:
        return None, "it is being deleted" if is_terminating(booster) else "it exists"
    if is_terminating(booster):
        return Ending.NEVER, "it is being deleted"
    generation = booster["metadata"].get("generation", 0)
    current = {
        kind: condition
        for kind, condition in conditions_of(booster).items()
        if condition.get("observedGeneration", generation) == generation
    }
    wanted = current.get(goal.capitalize(), {})
    failed = current.get("Failed", {})
    if wanted.get("status") == "True":
        return Ending.MET, ""
    if failed.get("status") == "True":
        return Ending.NEVER, f"{failed.get('reason', '')}: {failed.get('message', '')}"
    active = current.get("Active") or {}
    if not active:
        return None, "the operator has not handled it yet"
    return None, f"{active.get('reason', '')}: {active.get('message', '')}"


async def wait_for(
    cluster: Cluster,
    name: str,
    goal: Goal,
    seconds: float,
    tell: Callable[[str], None],
) -> Waited:
    """Waits until a ModelBooster has a state, or cannot get it any more.

    Args:
        cluster: where to look.
        name: the ModelBooster.
        goal: what to wait for.
        seconds: time limit; 0 looks once.
        tell: called with each new state in one line.

    Raises:
        NotInstalled, NotAllowed: the ModelBooster cannot be read.
        Unreachable: the first request got no answer. Later ones are repeated.
    """
    watcher = _Watcher(cluster, name, goal, tell)
    await watcher.look()
    if watcher.ending is None and seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await watcher.follow()
        except TimeoutError:
            pass
    ending = watcher.ending or Ending.TIMEOUT
    return Waited(ending, "" if ending is Ending.MET else watcher.state)


class _Watcher:
    """Follows one ModelBooster."""

    def __init__(
        self, cluster: Cluster, name: str, goal: Goal, tell: Callable[[str], None]
    ) -> None:
        self._cluster = cluster
        self._name = name
        self._goal = goal
        self._tell = tell
        self._version = ""
        self._was_there = False
        self.state = ""
        self.ending: Ending | None = None

    async def look(self) -> None:
        """Reads the ModelBooster once."""
        try:
            found = await self._cluster.kube.list(
                MODEL_BOOSTER,
                namespace=self._cluster.namespace,
                field_selector=f"metadata.name={self._name}",
            )
        except ApiError as exc:
            if exc.status in (401, 403, 404):
                raise explained(exc) from exc
            raise
        self._version = found.resource_version
        self._take(found.items[0] if found.items else None)

    async def follow(self) -> None:
        """Watches until the wait is over. Failed requests are repeated."""
        while self.ending is None:
            try:
                await self._watch()
            except Gone:
                await self._again()
            except (Unreachable, ApiError):
                await asyncio.sleep(RETRY_SECONDS)
                await self._again()

    async def _again(self) -> None:
        try:
            await self.look()
        except (Unreachable, ApiError):
            return

    async def _watch(self) -> None:
        watch = self._cluster.kube.watch(
            MODEL_BOOSTER,
            namespace=self._cluster.namespace,
            field_selector=f"metadata.name={self._name}",
            resource_version=self._version,
            timeout_seconds=300,
        )
        async with aclosing(watch) as events:
            async for event in events:
                self._version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    self._take(None if event.type == "DELETED" else event.object)
                if self.ending is not None:
                    return

    def _take(self, booster: Object | None) -> None:
        self.ending, state = progress_of(booster, self._goal, was_there=self._was_there)
        self._was_there = self._was_there or booster is not None
        if state != self.state and self.ending is None:
            self._tell(state)
        self.state = state
