"""What ModelBoosters ask for, worked out once for the passes that follow soon on each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.apis.children import Profile
from app.apis.meta import Object
from app.convert.options import Options
from app.validation import Context
from controller.intent import Intent, intent_of
from controller.rivals import Elders

MOST_KEPT = 256
"""Intents that are kept, at some 50 KB each."""


class Intents:
    """Says what a stored ModelBooster asks for.

    Args:
        options: what conversion reads.
        profile: the shape of the children; may be set anew when another kthena is installed.
        rivals: the other ModelBoosters that clients ask for by the same name.
    """

    def __init__(
        self,
        options: Options,
        profile: Profile | None,
        rivals: Callable[[Object], Iterable[Object]],
    ) -> None:
        self.profile = profile
        self._options = options
        self._rivals = rivals
        self._kept: dict[tuple[str, int, Profile | None], Intent] = {}  # the oldest first

    def of(self, booster: Object) -> Intent:
        """Returns what a ModelBooster asks for.

        Raises:
            InvalidSpec: it breaks a rule, or its name belongs to an older one.
        """
        elders = Elders(booster, self._rivals(booster))
        if elders.objects:  # nothing comes of it, so it need not be quick
            return intent_of(booster, Context(self._options, self.profile, elders))
        metadata = booster["metadata"]
        of = (metadata["uid"], metadata["generation"], self.profile)
        intent = self._kept.pop(of, None)
        if intent is None:
            intent = intent_of(booster, Context(self._options, self.profile))
        self._kept[of] = intent
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return intent
