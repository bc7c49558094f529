"""Makes a ModelBooster of a template of the catalogue, for the devices that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

from app.catalog.build import model_of_repository
from app.catalog.choosing.choice import Choice, choose
from app.catalog.choosing.offers import Offer
from app.catalog.devices import device
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.images import image_of, release_in
from app.catalog.layouts import layout_of
from app.catalog.memory import Breakdown, memory_of
from app.catalog.parameters import Values, ValuesError
from app.catalog.rendering.checks import usable_engine
from app.catalog.rendering.render import TOKEN_SECRET, render
from app.catalog.templates import Template, UnknownTemplate, engines_of, find_template
from app.engines.names import LABELS
from app.values.meta import Object


class Composed(NamedTuple):
    """A ModelBooster with the reason for its profile.

    Args:
        booster: the object.
        choice: the profile, the engine, and the memory that they need.
    """

    booster: Object
    choice: Choice


_PAGE = re.compile(r"^(?:hf://|https?://(?:huggingface\.co|hf\.co)/)")


def template_of(name: str) -> Template:
    """Returns the template that a user means: by its name, its model's name or its repository.

    A repository may be written as in modelURI, or as the address of its page.

    Raises:
        UnknownTemplate: there is none.
    """
    try:
        return find_template(name)
    except UnknownTemplate:
        model = model_of_repository(_PAGE.sub("", name).rstrip("/"))
        if model is None:
            raise
        return find_template(model.name)


def compose(
    template: Template,
    values: Values,
    offers: Sequence[Offer] | None,
    *,
    engine: str | None = None,
    kthena: str | None = None,
) -> Composed:
    """Returns the ModelBooster of a template.

    Args:
        template: the template.
        values: values of its parameters.
        offers: the devices that there are; None for the first profile that fits.
        engine: the engine, if the user chooses it.
        kthena: the kthena release whose own schema must accept the object as well.

    Raises:
        NothingFits: it fits on none of the devices.
        ValuesError: values contradict each other or the template.
        UsageError: the context is longer than that of the model.
    """
    chosen_engine = cast("EngineName | None", engine or values.engine)
    if values.profile is not None:
        choice = _named(template, values, chosen_engine)
    else:
        choice = choose(template, offers, engine=chosen_engine, context=values.max_model_len)
    booster = render(
        template, values=values, profile=choice.profile, engine=choice.engine, release=kthena
    )
    return Composed(booster, choice)


def _named(template: Template, values: Values, engine: EngineName | None) -> Choice:
    """Returns the profile that the values name, with the memory that it needs."""
    named = [profile for profile in template.profiles if profile.name == values.profile]
    if not named:
        names = ", ".join(profile.name for profile in template.profiles)
        raise ValuesError(f'profile: "{values.profile}" is none of {names}')
    (profile, *_) = named
    chosen = usable_engine(template, profile, engine, f"with the profile {profile.name}")
    context = values.max_model_len
    wanted = replace(profile, context=context) if context else profile
    breakdown = _memory(template, wanted, chosen)
    return Choice(wanted, chosen, breakdown, "the profile that --set names")


def _memory(template: Template, profile: Profile, engine: EngineName) -> Breakdown:
    release = release_in(engine, image_of(template.model, profile, engine))
    return memory_of(template.model, layout_of(template, profile, engine, release))


def memory_of_profile(
    template: Template, profile: Profile
) -> tuple[tuple[EngineName, ...], Breakdown]:
    """Returns the engines that can serve a profile, and the memory with the first of them."""
    engines = engines_of(template, profile)
    return engines, _memory(template, profile, engines[0])


def reason_lines(template: Template, choice: Choice) -> Iterator[str]:
    """Yields why a profile was chosen, and the memory of each device that it needs."""
    yield (
        f"{template.name} on {devices_text(choice.profile)} with {LABELS[choice.engine]}: "
        f"{choice.reason}"
    )
    for line in choice.breakdown.lines():
        yield f"  {line}"


def devices_text(profile: Profile) -> str:
    """Returns the devices of a profile: ``2 x NVIDIA H100 80 GB``, and how many pods have them."""
    each = f"{profile.devices} x {device(profile.device).title}"
    return each if profile.pods == 1 else f"{profile.pods} pods with {each}"


def advice_lines(booster: Object) -> Iterator[str]:
    """Yields what the user has to create besides: the Secret with the token of the hub."""
    spec = booster["spec"]
    namespace = booster["metadata"].get("namespace")
    where = f" --namespace={namespace}" if namespace else ""
    for backend in spec.get("backends") or [spec.get("backend") or {}]:
        for source in backend.get("envFrom") or ():
            if (source.get("secretRef") or {}).get("name") == TOKEN_SECRET:
                yield (
                    "the model asks for a token; accept its terms on Hugging Face, then: kubectl "
                    f"create secret generic {TOKEN_SECRET}{where} "
                    '--from-literal=HF_AUTH_TOKEN="$HF_TOKEN"'
                )
