"""Taking models over from kthena's own controller, if its program is given."""

from __future__ import annotations

from tests.pods.stage import Stage
from tests.pods.step import NotGiven

VARIABLE = "KTHENA_CM"


def from_kthena(stage: Stage) -> None:
    raise NotGiven(f"{VARIABLE}=PATH names no kthena-controller-manager")
