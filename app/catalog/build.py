"""Builds a model from its entry in the index, which was checked when it was made."""

from __future__ import annotations

from typing import Any

from app.catalog.facts.architecture import Attention, Sliding, State, Weights
from app.catalog.facts.serving import Profile, Served, Variant
from app.catalog.schema import ModelFacts, Source


def model_from(entry: dict[str, Any]) -> ModelFacts:
    """Returns the model of an entry; it takes a tenth of the time that a checked reading takes."""
    given = dict(entry)
    for name, kind in (("sliding", Sliding), ("state", State)):
        if name in given:
            given[name] = kind(**given[name])
    if "modalities" in given:
        given["modalities"] = tuple(given["modalities"])
    given["weights"] = Weights(**given["weights"])
    given["attention"] = Attention(**given["attention"])
    given["engines"] = {name: Served(**served) for name, served in given["engines"].items()}
    given["profiles"] = tuple(map(_profile, given["profiles"]))
    given["variants"] = tuple(
        Variant(**{**variant, "profiles": tuple(map(_profile, variant["profiles"]))})
        for variant in given.get("variants", ())
    )
    given["sources"] = tuple(
        Source(**{**source, "facts": tuple(source["facts"])}) for source in given["sources"]
    )
    return ModelFacts(**given)


def _profile(entry: dict[str, Any]) -> Profile:
    if "engines" in entry:
        return Profile(**{**entry, "engines": tuple(entry["engines"])})
    return Profile(**entry)
