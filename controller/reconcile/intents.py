"""What ModelBoosters ask for, worked out once for the passes that follow soon on each other."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

from app.apis.kinds import Profile
from app.convert.options import Options
from app.kube.backoff import Clock
from app.validation import Context
from app.values.meta import Object
from controller.cluster.rivals import Elders, Rival
from controller.planning.intent import Intent, intent_of
from controller.status.status import is_settled

MOST_KEPT = 256
"""Intents that are kept at most, at some 15 KB each."""

IDLE_SECONDS = 30.0
"""An intent that no pass has asked for in so long is not kept: most are at rest for hours."""


_Of = tuple[str, int, Profile | None]
"""The spec of a ModelBooster and what it is converted for: uid, generation and profile."""


class Intents:
    """Says what a stored ModelBooster asks for.

    Args:
        options: what conversion reads.
        profile: the shape of the children; may be set anew when another kthena is installed.
        rivals: whatever else clients reach by the same name.
        clock: the time, in seconds.
    """

    def __init__(
        self,
        options: Options,
        profile: Profile | None,
        rivals: Callable[[Object], Iterable[Rival]],
        clock: Clock = time.monotonic,
    ) -> None:
        self.profile = profile
        self._options = options
        self._rivals = rivals
        self._clock = clock
        # What was asked for longest ago comes first; with each the time when that was.
        self._kept: OrderedDict[_Of, tuple[Intent | None, float]] = OrderedDict()

    def __len__(self) -> int:
        """How many are kept."""
        return sum(intent is not None for intent, _ in self._kept.values())

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
        asked = self._kept.pop(of, None)
        intent = (asked and asked[0]) or intent_of(booster, Context(self._options, self.profile))
        # After a start there is one pass for each that is at rest; who comes twice, comes again.
        comes_again = asked is not None or not is_settled(booster)
        self._kept[of] = intent if comes_again else None, self._clock()
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return intent

    def forget(self) -> None:
        """Drops everything: the specs may not have been what users wrote."""
        self._kept.clear()

    def drop_idle(self) -> None:
        """Lets go of what no pass has asked for lately; to be called from time to time."""
        begin = self._clock() - IDLE_SECONDS
        while self._kept and next(iter(self._kept.values()))[1] <= begin:
            self._kept.popitem(last=False)
