"""What a reconciler returns to the workers; compare ``reconcile.Result`` of controller-runtime."""

from __future__ import annotations

from app.values.value import value


@value
class Result:
    """How a pass ended.

    Args:
        error: why the pass must be repeated; None if it succeeded.
        requeue_after_seconds: delay until the next pass: the least one after an error, else the
            longest. None if nothing asks for another pass.
        is_gone: whether the ModelBooster does not exist any more, or is being deleted.
    """

    error: Exception | None = None
    requeue_after_seconds: float | None = None
    is_gone: bool = False
