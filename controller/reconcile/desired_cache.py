"""Caches the desired state of ModelBoosters for passes that follow each other closely."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from app.apis.kinds import KthenaRelease, Profile
from app.convert.options import Options
from app.kube.backoff import Clock
from app.model.forms import Model
from app.validation import Context
from app.values.meta import Object
from controller.cluster.model_names import Claim, OlderClaims
from controller.plan.desired import DesiredState, desired_state
from controller.plan.fingerprints import pod_annotations
from controller.status.booster_status import is_settled

MAX_ENTRIES = 1000
"""Maximum number of entries. An entry takes about 15 KB, and unused entries are removed.

When many ModelBoosters are created at once, every first pass runs before any second pass. With
fewer entries, each ModelBooster would be converted twice."""

IDLE_SECONDS = 30.0
"""How long an entry is kept after its last use: most ModelBoosters need no pass for hours."""

_CacheKey = tuple[str, int, Profile | None, KthenaRelease | None, tuple[tuple[str, str], ...]]
"""Everything that a cached desired state depends on: uid, generation, kthena and annotations.

The annotations are all that count for the fingerprints: more than this version converts."""


class DesiredStateCache:
    """Returns the desired state of stored ModelBoosters.

    Args:
        options: settings of the conversion.
        profile: profile of the installed kthena.
        other_claims: returns the other objects that clients reach by the name of a ModelBooster.
        rival_notes: returns what to say of requests that other ModelRoutes get.
        clock: the time, in seconds.
        max_entries: how many entries are kept at most.
    """

    def __init__(
        self,
        options: Options,
        profile: Profile | None,
        other_claims: Callable[[Object], Iterable[Claim]],
        rival_notes: Callable[[Model, Profile], tuple[str, ...]] = lambda model, profile: (),
        clock: Clock = time.monotonic,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self._profile = profile
        self._options = options
        self._other_claims = other_claims
        self._rival_notes = rival_notes
        self._clock = clock
        self._max_entries = max_entries
        # Least recently used first; with each entry the time of its last use.
        self._entries: OrderedDict[_CacheKey, tuple[DesiredState | None, float]] = OrderedDict()

    def __len__(self) -> int:
        """Returns how many desired states are cached."""
        return sum(desired is not None for desired, _ in self._entries.values())

    def get(self, booster: Object) -> DesiredState:
        """Returns the desired state of a ModelBooster.

        Raises:
            InvalidSpec: the spec breaks a rule, or an older object has its model name.
        """
        older = OlderClaims(booster, self._other_claims(booster))
        if older.objects:  # the spec is invalid, so caching is not worth it
            return desired_state(booster, Context(self._options, self._profile, older))
        desired = self._from_spec(booster)
        profile = Context(profile=self._profile).release_profile
        notes = self._rival_notes(desired.model, profile)
        return replace(desired, notes=(*desired.notes, *notes)) if notes else desired

    def _from_spec(self, booster: Object) -> DesiredState:
        metadata = booster["metadata"]
        annotations = tuple(sorted(pod_annotations(booster).items()))
        kthena = self._profile, self._options.kthena_release
        key = (metadata["uid"], metadata["generation"], *kthena, annotations)
        entry = self._entries.pop(key, None)
        desired = (entry and entry[0]) or desired_state(
            booster, Context(self._options, self._profile)
        )
        # After a start, every settled ModelBooster gets one pass. It is cached from the second on.
        is_repeated = entry is not None or not is_settled(booster)
        self._entries[key] = desired if is_repeated else None, self._clock()
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return desired

    def set_installed(self, profile: Profile | None, release: KthenaRelease | None) -> None:
        """Uses another kthena from now on.

        Args:
            profile: its profile; None if it is unknown.
            release: its release; None if it is unknown.
        """
        self._profile = profile
        self._options = replace(self._options, kthena_release=release)

    def clear(self) -> None:
        """Removes all entries: the specs may not have been what users wrote."""
        self._entries.clear()

    def evict_idle(self) -> None:
        """Removes entries that were not used for ``IDLE_SECONDS``; call it from time to time."""
        oldest = self._clock() - IDLE_SECONDS
        while self._entries and next(iter(self._entries.values()))[1] <= oldest:
            self._entries.popitem(last=False)
