"""Checks of the CustomResourceDefinitions, and of what is stored with them."""

from __future__ import annotations

from app.apis.definition import NAME, is_unpruned
from app.apis.kinds import CHILDREN, Profile
from app.values.meta import key_of
from modelbooster.checkup.facts import Facts
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import installation_in
from modelbooster.checkup.text import count, listed

RESTORE = "model-booster crd | kubectl apply --server-side --force-conflicts -f -"

_RELEASES = {Profile.A: "v0.1.0", Profile.B: "v0.2.0 to v0.4.0", Profile.C: "v1.0.0 or later"}


def booster_definition(facts: Facts) -> Finding:
    """The installed definition of ModelBooster is ours."""
    if not facts.serves_boosters:
        return failed(
            f"the CustomResourceDefinition {NAME} is not installed",
            "model-booster crd | kubectl apply --server-side -f -",
        )
    missing = facts.installed.missing
    if not missing:
        return ok("the CustomResourceDefinition of ModelBooster is the one of model-booster")
    return failed(
        f"another CustomResourceDefinition of ModelBooster is installed over ours: it lacks "
        f"{listed(missing)}, and the API server drops these fields",
        RESTORE,
    )


def stored_boosters(facts: Facts) -> Finding:
    """No stored ModelBooster has lost its backends to another definition."""
    if facts.boosters.lacks:
        return without_right(facts.boosters.lacks)
    boosters = facts.boosters.items
    if not facts.serves_boosters:
        return skipped("ModelBoosters are not served")
    if not all(map(is_unpruned, boosters)):
        return skipped("another definition hides fields of the stored ModelBoosters")
    empty = [
        str(key_of(obj))
        for obj in boosters
        if not {"backend", "backends"} & (obj.get("spec") or {}).keys()
    ]
    if empty:
        return failed(
            f"{count(len(empty), 'ModelBooster')} without a backend: {listed(empty)}",
            *(f"kubectl -n {n.replace('/', ' edit modelbooster ')}" for n in empty[:1]),
            note="a write while another definition was installed lost them; apply them again",
        )
    return ok(f"{count(len(boosters), 'ModelBooster')} stored, none without a backend")


def child_definitions(facts: Facts) -> Finding:
    """The kinds of children are served, in a form that this program writes."""
    installed = facts.installed
    absent = [kind.kind for kind in CHILDREN if kind not in installed.kinds]
    if installed.profile is Profile.C:
        absent = [kind for kind in absent if kind != "AutoscalingPolicyBinding"]
    if absent:
        return failed(
            f"kthena's CustomResourceDefinitions are not installed: {listed(absent, 5)}",
            note="install kthena, or apply the CustomResourceDefinitions of its release "
            "(docs/operations.md, KindUnavailable)",
        )
    if installed.profile is None:
        return failed(
            "the form of kthena's AutoscalingPolicy is not known to this program",
            note="upgrade model-booster, or set kthena.release in the values of its chart",
        )
    if installed.release is not None:
        return ok(f"kthena {installed.release}: its {len(installed.kinds)} kinds are served")
    return ok(f"the {len(installed.kinds)} kinds of kthena {_RELEASES[installed.profile]}")


def kthena_release(facts: Facts) -> Finding:
    """The release in the settings of the operator is the installed one."""
    if facts.deployments.lacks:
        return without_right(facts.deployments.lacks)
    controller = installation_in(facts.deployments.items).controller
    if controller is None:
        return skipped("the operator is not installed, or not visible to you")
    stated = controller.settings.get("KTHENA_RELEASE", "")
    found = facts.installed
    if not stated:
        if found.release is None:
            return warning(
                "the exact release of kthena is not known: no image tag of its controller manager"
                " tells it",
                installation_in(facts.deployments.items).change("kthena.release=v0.4.0"),
                note="with the release that you have installed",
            )
        return ok(f"kthena {found.release}, read from its controller manager")
    if found.release is not None and str(found.release) != stated:
        return failed(
            f"kthena.release is {stated}, but kthena {found.release} is installed",
            installation_in(facts.deployments.items).change("kthena.release="),
        )
    return ok(f"kthena {stated}, as the settings of the operator say")
