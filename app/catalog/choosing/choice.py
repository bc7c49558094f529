"""Chooses a profile for the devices that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.catalog.choosing.offers import Offer
from app.catalog.devices import CPU, device
from app.catalog.facts.fields import EngineName
from app.catalog.facts.serving import Profile
from app.catalog.images import IMAGES, image_of, release_in
from app.catalog.layouts import layout_of
from app.catalog.memory import Breakdown, gib, memory_of
from app.catalog.templates import Template, engines_of
from app.engines.names import LABELS
from app.errors import OperatorError, UsageError

_CONTEXT = 32768
"""Context of a profile that is made here, if the model has as much and it fits."""

_SMALLEST_CONTEXT = 2048
"""The smallest context that is chosen if a longer one does not fit."""

_NODE = 8
"""Devices of a node, if the number is not known."""


class NothingFits(OperatorError):
    """The model fits on none of the devices; the text says what is missing and the way out."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A profile, and why.

    Args:
        profile: the profile; one of the template's, or one made for the devices.
        engine: the engine.
        breakdown: the memory that it needs.
        reason: one sentence for people.
    """

    profile: Profile
    engine: EngineName
    breakdown: Breakdown
    reason: str


def choose(
    template: Template,
    offers: Sequence[Offer] | None,
    *,
    engine: EngineName | None = None,
    context: int | None = None,
    concurrency: int | None = None,
) -> Choice:
    """Returns the profile for a template: the fewest devices on which it fits.

    A profile of the template wins over one that is made here, if it has what is asked for.

    Args:
        template: the template.
        offers: the devices that there are; None for the best profile of the template.
        engine: the engine; the first one that serves the template if None.
        context: tokens of a request; that of the profile, or the longest up to 32,768 that fits.
        concurrency: requests of that length at the same time; at least 1.

    Raises:
        NothingFits: it fits on none of the offers.
        UsageError: the context is longer than that of the model.
    """
    if context is not None and context > template.model.context:
        raise UsageError(
            f"{template.name}: a context of {context} is more than the {template.model.context} "
            "tokens of the model"
        )
    if offers is None:
        return _best_of_template(template, engine, context, concurrency)
    found: list[Choice] = []
    reasons: list[str] = []
    for offer in offers:
        made = list(_on_offer(template, offer, engine, context, concurrency, reasons))
        found += made[:1]
    if not found:
        raise NothingFits(_nothing(template, offers, reasons))
    return min(found, key=lambda choice: choice.breakdown.layout.devices * _price(choice))


def _price(choice: Choice) -> int:
    """Returns the memory of a device, which is used in place of its price."""
    return device_memory(choice.profile)


def device_memory(profile: Profile) -> int:
    """Returns the bytes of one device of a profile."""
    return profile.memory or device(profile.device).memory


def _best_of_template(
    template: Template,
    engine: EngineName | None,
    context: int | None,
    concurrency: int | None,
) -> Choice:
    tried = []
    for profile in template.profiles:
        wanted = _with(profile, context, concurrency)
        for each in _engines(template, wanted, engine):
            breakdown = _memory(template, wanted, each)
            if breakdown.fits:
                return Choice(wanted, each, breakdown, "the first profile of the template")
            tried.append(f"{wanted.name}: {gib(breakdown.missing)} of each device are missing")
    served = " or ".join(LABELS[name] for name in template.engines)
    detail = "; ".join(tried) or f"no profile is for {engine}; {served} serves it"
    raise NothingFits(f"{template.name}: no profile fits: {detail}")


def _engines(
    template: Template, profile: Profile, engine: EngineName | None
) -> tuple[EngineName, ...]:
    usable = engines_of(template, profile)
    return usable[:1] if engine is None else tuple(e for e in usable if e == engine)


def _with(profile: Profile, context: int | None, concurrency: int | None) -> Profile:
    if context is None and concurrency is None:
        return profile
    return replace(
        profile,
        context=context or profile.context,
        concurrency=concurrency or profile.concurrency,
    )


def _memory(template: Template, profile: Profile, engine: EngineName) -> Breakdown:
    of = release_in(engine, image_of(template.model, profile, engine))
    return memory_of(template.model, layout_of(template, profile, engine, of))


def _on_offer(
    template: Template,
    offer: Offer,
    engine: EngineName | None,
    context: int | None,
    concurrency: int | None,
    reasons: list[str],
) -> Iterator[Choice]:
    """Yields what fits on an offer, the best first; adds to ``reasons`` why nothing does."""
    own = [p for p in template.profiles if p.device == offer.device.name and _has(offer, p)]
    for profile in sorted(own, key=lambda p: p.devices * p.pods):
        wanted = _with(profile, context, concurrency)
        for each in _engines(template, wanted, engine):
            breakdown = _memory(template, wanted, each)
            if breakdown.fits:
                yield Choice(wanted, each, breakdown, f"profile of the template for {offer}")
    last: Breakdown | None = None
    for profile in _made(template, offer, context, concurrency):
        for each in _engines(template, profile, engine):
            last = _memory(template, profile, each)
            if last.fits:
                yield Choice(profile, each, last, f"made for {offer} by the memory it needs")
    if last is not None and not last.fits:
        reasons.append(
            f"{offer}: {gib(last.weights)} of weights and {gib(last.kv_needed)} of KV cache on "
            f"each of {last.layout.devices} devices, but {gib(max(0, last.usable))} usable"
        )
    elif last is None and not own:
        lacks = "" if offer.device.bf16 else ", which has no bfloat16"
        reasons.append(f"{offer}: no engine serves {template.name} on it{lacks}")


def _has(offer: Offer, profile: Profile) -> bool:
    nodes = offer.nodes if offer.nodes is not None else profile.pods
    return profile.devices <= (offer.per_node or _NODE) and profile.pods <= nodes


def _made(
    template: Template, offer: Offer, context: int | None, concurrency: int | None
) -> Iterator[Profile]:
    """Yields profiles for an offer: fewer devices first, then longer contexts first."""
    model = template.model
    if offer.device.resource == CPU or ("vllm", offer.device.resource) not in IMAGES:
        return
    if not offer.device.bf16 and model.weights.precision != "fp16":
        return
    most = offer.per_node or _NODE
    sizes = [n for n in (1, 2, 4, 8, 16) if n <= most and model.attention.heads % n == 0]
    lengths = [context] if context else list(_lengths(min(_CONTEXT, model.context)))
    for devices in sizes:
        for length in lengths:
            yield Profile(
                device=offer.device.name,
                devices=devices,
                context=min(length, model.context),
                concurrency=concurrency or 1,
            )


def _lengths(most: int) -> Iterator[int]:
    length = most
    while length >= _SMALLEST_CONTEXT:
        yield length
        length //= 2


def _nothing(template: Template, offers: Sequence[Offer], reasons: Sequence[str]) -> str:
    least = min(template.profiles, key=lambda p: p.devices * p.pods * device_memory(p))
    needs = f"{least.devices * least.pods} x {device(least.device).title}"
    there = "; ".join(reasons) or "there are no devices"
    if not offers:
        there = "no node offers a device that is known"
    return (
        f"{template.name} does not fit: {there}; it needs for example {needs}, or a shorter "
        "context, or a smaller or quantized model"
    )
