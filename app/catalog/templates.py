"""The templates of the catalogue, from its index: by name, and all of them.

A template is a model, or a variant of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from app.catalog.build import model_of
from app.catalog.devices import NVIDIA, device
from app.catalog.facts.fields import ENGINE_NAMES, EngineName
from app.catalog.facts.serving import Profile, Variant
from app.catalog.index import index
from app.catalog.schema import ModelFacts
from app.engines.names import LABELS
from app.errors import UsageError
from app.values.value import value

_LIST = '; "model-booster get templates" lists all'


class UnknownTemplate(UsageError):
    """There is no template of a name; the text says so, and names the nearest ones."""


@value
class Template:
    """What a user can choose by name.

    Args:
        model: the model.
        variant: the variant of it; None for the model itself.
    """

    model: ModelFacts
    variant: Variant | None = None

    @property
    def name(self) -> str:
        """Vendor and model, and the suffix of the variant: ``Qwen/Qwen3-32B-NPU``."""
        return self.model.name + (f"-{self.variant.suffix}" if self.variant else "")

    @property
    def short_name(self) -> str:
        """Default name of a ModelBooster, a label: ``llama-3-2-1b-instruct``."""
        name = self.model.short_name or self.model.name.partition("/")[2]
        suffix = f"-{self.variant.short_suffix}" if self.variant else ""
        return re.sub(r"[^a-z0-9]+", "-", f"{name}{suffix}".lower()).strip("-")

    @property
    def description(self) -> str:
        """One line for lists: the title, the engines, and what a variant adds."""
        engines = " or ".join(LABELS[name] for name in self.engines)
        special = f" {self.variant.title}" if self.variant else ""
        return f"{self.model.title}{special} with {engines}"

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The profiles, the best choice first."""
        return self.variant.profiles if self.variant else self.model.profiles

    @property
    def engines(self) -> tuple[EngineName, ...]:
        """The engines that can serve it with some profile, in the order of ``ENGINE_NAMES``."""
        return tuple(
            e for e in ENGINE_NAMES if any(e in engines_of(self, p) for p in self.profiles)
        )

    @property
    def path(self) -> str:
        """Path of the model's file below ``app/catalog/models``."""
        return f"{self.model.name}.yaml"


def engines_of(template: Template, profile: Profile) -> tuple[EngineName, ...]:
    """Returns the engines that can serve a template with a profile.

    The image of SGLang is for NVIDIA's devices, and the connectors are those of vLLM.
    """
    found = profile.engines or tuple(e for e in ENGINE_NAMES if e in template.model.engines)
    only_vllm = template.variant is not None and template.variant.connector is not None
    if only_vllm or device(profile.device).resource != NVIDIA:
        return tuple(e for e in found if e == "vllm")
    return found


@cache
def _names() -> dict[str, tuple[str, int | None]]:
    """Returns the model of each template, and the place of the variant in it."""
    found: dict[str, tuple[str, int | None]] = {}
    for model, content in index().items():
        found[model] = (model, None)
        for place, variant in enumerate(content.get("variants", ())):
            found[f"{model}-{variant['suffix']}"] = (model, place)
    return dict(sorted(found.items(), key=lambda item: item[0].encode()))


def template_names() -> tuple[str, ...]:
    """Returns the names of all templates, in byte order."""
    return tuple(_names())


def templates() -> Iterator[Template]:
    """Yields all templates, in byte order of their names."""
    return map(find_template, _names())


def find_template(name: str) -> Template:
    """Returns the template of a name.

    Args:
        name: vendor and model as they are listed, whatever the case; or the model alone, and then
            the first vendor that has it counts.

    Raises:
        UnknownTemplate: there is none.
    """
    names = _names()
    found = name if name in names else _by_case(name)
    if found is None:
        raise UnknownTemplate(f"template '{name}' not found{_nearest(name)}")
    model, place = names[found]
    facts = model_of(model)
    return Template(facts, None if place is None else facts.variants[place])


def _by_case(name: str) -> str | None:
    """Returns the name that differs from this one by case, or by the vendor that is missing."""
    wanted = name.lower()
    for full in _names():
        if wanted == (full if "/" in name else full.partition("/")[2]).lower():
            return full
    return None


def _nearest(name: str) -> str:
    """Returns the names that may be meant, as an end of a sentence; else how to list all."""
    short = {full.partition("/")[2].lower(): full for full in _names()}
    whole = {full.lower(): full for full in _names()}
    known = whole if "/" in name else short
    from difflib import get_close_matches  # only for a name that is wrong

    near = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(known[each] for each in near)}?" if near else _LIST
