"""Checks of values that several parts of rendering share."""

from __future__ import annotations

from collections.abc import Mapping

from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.parameters import ValuesError
from app.catalog.templates import Template, engines_of
from app.engines.names import LABELS


def refuse_given(values: Mapping[str, object], why: str) -> None:
    """Refuses values that nothing would use.

    Args:
        values: values by name; None for one that is not given.
        why: why nothing uses them.

    Raises:
        ValuesError: one of them is given.
    """
    for name, value in values.items():
        if value is not None:
            raise ValuesError(f"{name}: {why}")


def usable_engine(
    template: Template, profile: Profile, wanted: EngineName | None, where: str
) -> EngineName:
    """Returns the wanted engine, or the first that serves a template with a profile.

    Args:
        template: the template.
        profile: the profile.
        wanted: the engine, if it is chosen.
        where: how the message names the profile.

    Raises:
        ValuesError: the wanted engine does not serve it.
    """
    usable = engines_of(template, profile)
    engine = wanted or usable[0]
    if engine not in usable:
        served = " or ".join(LABELS[name] for name in usable)
        raise ValuesError(
            f"engine: {LABELS[engine]} does not serve {template.name} {where}; {served} does"
        )
    return engine
