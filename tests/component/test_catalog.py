"""No template is refused: whichever profile, engine and kthena release, and by anybody.

Each is rendered, admitted by our rules, whose tables know the arguments of the engine in the image,
and stored by a real API server with our definition. With vLLM, kthena's own definition accepts it
too. The children are accepted by the real definitions of kthena's release and by its webhooks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, PROFILES, Profile, read_kthena_release
from app.catalog.rendering.render import render
from app.catalog.templates import engines_of, templates
from app.convert import desired_children
from app.convert.options import Options
from app.engines.words import command_line
from app.model.engine import engine as engine_in
from app.validation import Context, validate
from app.values.meta import Object, Resource
from tests.builders import UID
from tests.controlplane import crds
from tests.controlplane.api import Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.kthena import booster_refusals, refusals

DRY = {"dryRun": "All", "fieldValidation": "Strict"}
RESOURCES = {resource.kind: resource for resource in CHILDREN}
HARMLESS = ("a folder of the node; each node that runs one of up to",)
"""What our rules say of the default cache if a model runs in several pods."""

KTHENAS = {"v0.1.0": "v0.1.0", "v0.2.0": "v0.4.0", "v1.0.0": "v1.0.0"}
"""A release for each form of a ModelBooster, and the release whose definition is asked."""


@dataclass(frozen=True)
class Case:
    """One template with one profile, engine and kthena release."""

    name: str
    release: str
    engine: str
    booster: Object


def cases() -> Iterator[Case]:
    for template in templates():
        for profile in template.profiles:
            for engine in engines_of(template, profile):
                for release in PROFILES:
                    name = f"{template.name} {profile.name} {engine} {release}"
                    made = render(template, profile=profile, engine=engine, release=release)
                    made["metadata"] |= {"namespace": "default"}
                    yield Case(name, release, engine, made)


@pytest.fixture(scope="module")
def all_cases() -> list[Case]:
    return list(cases())


def context(release: str) -> Context:
    options = Options(kthena_release=read_kthena_release(release))
    return Context(profile=PROFILES[release], options=options)


def test_every_template_is_admitted_without_warnings(all_cases: list[Case]) -> None:
    wrong = []
    for case in all_cases:
        verdict = validate(case.booster, context(case.release))
        told = [w for w in verdict.warnings if not any(known in w for known in HARMLESS)]
        wrong += [f"{case.name}: {each}" for each in (*verdict.faults, *told)]
        for backend in verdict.model.backends if verdict.model else ():
            for worker in backend.workers:
                of = engine_in(worker)
                if of.release is None or command_line(of, worker.config).faults:
                    wrong.append(f"{case.name}: {worker.image} {worker.config}")
    assert wrong == [], "\n".join(wrong)


def refused(api: Api, path: str, objects: dict[str, Object]) -> list[str]:
    """Returns what the server refuses, by the names of the objects."""

    def create(named: tuple[str, Object]) -> str | None:
        try:
            api.request("POST", path, named[1], params=DRY)
        except Refused as exc:
            return f"{named[0]}: {exc}"
        return None

    return [text for text in map(create, objects.items()) if text is not None]


def distinct(objects: Iterator[tuple[str, Object]]) -> dict[str, Object]:
    """Returns objects by their names, each content once."""
    seen: dict[str, tuple[str, Object]] = {}
    for name, obj in objects:
        seen.setdefault(repr(obj), (name, obj))
    return dict(seen.values())


def test_the_api_server_stores_every_booster(plane: ControlPlane, all_cases: list[Case]) -> None:
    objects = distinct((case.name, case.booster) for case in all_cases)
    path = MODEL_BOOSTER.path("default")
    assert refused(plane.api, path, objects) == []


@pytest.mark.parametrize("release", KTHENAS)
def test_the_definition_of_kthena_accepts_every_booster_with_vllm(
    plane: ControlPlane, all_cases: list[Case], release: str
) -> None:
    definition = copy.deepcopy(crds.kthena_booster(KTHENAS[release]))
    # With names of its own, so that kubectl in other tests does not take it for ours.
    group = f"{release.replace('.', '-')}.example"
    resource = Resource(group, "v1alpha1", "boostersofkthena", "BoosterOfKthena")
    definition["metadata"] = {"name": f"{resource.plural}.{group}"}
    definition["spec"] |= {
        "group": group,
        "names": {
            "plural": resource.plural,
            "singular": "boosterofkthena",
            "kind": resource.kind,
            "listKind": f"{resource.kind}List",
        },
    }
    crds.install(plane.api, [definition])
    objects = distinct(
        (case.name, {**case.booster, "apiVersion": resource.api_version, "kind": resource.kind})
        for case in all_cases
        if case.release == release and case.engine == "vllm"
    )
    assert refused(plane.api, resource.path("default"), objects) == []
    assert [text for obj in objects.values() for text in booster_refusals(obj)] == []


def test_kthena_accepts_every_child(
    profiled_plane: tuple[Profile, ControlPlane], all_cases: list[Case]
) -> None:
    profile, plane = profiled_plane
    wrong = []
    by_kind: dict[str, dict[str, Object]] = {}
    for case in all_cases:
        if PROFILES[case.release] is not profile:
            continue
        stored = {**case.booster, "metadata": {**case.booster["metadata"], "uid": UID}}
        about = context(case.release)
        model = validate(stored, about).model
        assert model is not None
        made = desired_children(model, profile, about.options)
        wrong += [f"{case.name}: {text}" for text in refusals(made, profile)]
        assert {child.resource.kind for child in made} == {
            *("ModelServing", "ModelServer", "ModelRoute")
        }
        for child in made:
            known = by_kind.setdefault(child.resource.kind, {})
            known.setdefault(repr(child.object), {**child.object, "case": case.name})
    assert wrong == [], "\n".join(wrong)
    for kind, objects in by_kind.items():
        named = {f"{kind} {obj.pop('case')}": obj for obj in objects.values()}
        wrong += refused(plane.api, RESOURCES[kind].path("default"), named)
    assert wrong == [], "\n".join(wrong)
