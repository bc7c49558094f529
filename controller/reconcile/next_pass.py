"""When the next pass for a ModelBooster runs."""

from __future__ import annotations

from collections.abc import Iterable

from app.errors import ConflictingController
from app.kube import min_wait_seconds
from controller.reconcile.booster_state import BoosterState
from controller.reconcile.failure import Failure, Severity, worst
from controller.reconcile.plan_result import FAILING_SECONDS, PlanResult


def next_pass(
    result: PlanResult, state: BoosterState, now: float, waits: Iterable[float | None] = ()
) -> tuple[Exception | None, float | None]:
    """Returns the error to retry for, and when to run the next pass, in seconds.

    Args:
        result: what the pass has done.
        state: the state of the ModelBooster.
        now: the time of the reconciler's clock, in seconds.
        waits: after how many seconds something else is due; None for what is not.
    """
    due = [wait for wait in waits if wait is not None]
    if result.failures:
        # Conflicts are checked on a schedule of their own; any other failure comes first.
        others = [f for f in result.failures if not isinstance(f.error, ConflictingController)]
        leading = worst(others or result.failures)
        if leading.severity is Severity.NAMESPACE_TERMINATING:
            return None, None
        retry = min(_retry_seconds(f, state, now) for f in result.failures)
        if leading.severity in (Severity.REJECTED, Severity.TERMINAL):
            retry = min([retry, *due])  # the rejected child itself is not sent earlier
        return leading.error, retry
    if state.waiting_since is None:
        podless = state.podless_wait(now)
        return None, min(due if podless is None else [*due, podless], default=None)
    # The deletion enqueues the key if the object is watched. Otherwise, and to report that the
    # wait takes long, run a pass after a while.
    left = state.waiting_since + FAILING_SECONDS - now
    return None, min([left if left > 0 else FAILING_SECONDS, *due])


def _retry_seconds(failure: Failure, state: BoosterState, now: float) -> float:
    """Returns after how many seconds a failure may be retried."""
    if failure.severity is Severity.STALE:
        return 0
    if isinstance(failure.error, ConflictingController):
        return max(0, state.next_conflict_check_at(failure.error) - now)
    if failure.severity in (Severity.REJECTED, Severity.TERMINAL):
        retry_at = state.next_retry_at()
        return 0 if retry_at is None else max(0, retry_at - now)
    return min_wait_seconds(failure.error, state.failed_passes)
