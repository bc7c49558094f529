"""The models of the catalogue, each built when it is first asked for.

Admission reads models only from here, so that it does not wait for the types of templates.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from app.catalog.facts.architecture import Attention, Sliding, State, Weights
from app.catalog.facts.serving import Profile, Served, Variant
from app.catalog.index import index, model_name
from app.catalog.schema import ModelFacts, Source


def model_of_repository(repository: str) -> ModelFacts | None:
    """Returns the model of a repository of Hugging Face, whatever its case; None if unknown."""
    name = model_name(repository)
    return None if name is None else model_of(name)


@cache
def model_of(name: str) -> ModelFacts:
    """Returns the model of a name in the index."""
    return model_from(index()[name])


def model_from(entry: dict[str, Any]) -> ModelFacts:
    """Returns the model of an entry, which was checked when the index was made.

    It takes a tenth of the time that a checked reading takes.
    """
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
