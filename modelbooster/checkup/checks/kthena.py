"""Checks of kthena's own programs: which of them must run, and which must not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.installed import CONTROLLER_MANAGER, release_of_manager
from app.values.meta import Object, key_of
from app.values.untyped import as_list
from modelbooster.checkup.facts import Facts, Seen
from modelbooster.checkup.finding import Finding, failed, ok, skipped, warning, without_right
from modelbooster.checkup.installation import available, containers
from modelbooster.checkup.text import listed

ROUTER = "kthena-router"
"""Name of the Deployment of kthena's router in every release."""

_FLAG = re.compile(r"^--?controllers(?:=(.*))?$")
_INSTALL = "install kthena (https://github.com/volcano-sh/kthena); without it nothing is served"
_FIRST_WITH_FLAG = (0, 3, 0)
"""The first release whose controller manager has the flag ``--controllers``."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The flag ``--controllers`` of a container.

    Args:
        container: position of the container.
        field: ``args`` or ``command``.
        position: of the value in that list; None if the flag is absent.
        value: what it says; ``*`` if the flag is absent.
        is_joined: whether flag and value are one word.
    """

    container: int
    field: str
    position: int | None
    value: str
    is_joined: bool = True

    def has(self, controller: str) -> bool:
        """Whether a controller is on. A name may have a sign; ``*`` means all."""
        names = [name.strip() for name in self.value.split(",")]
        if f"-{controller}" in names:
            return False
        return bool({"*", controller, f"+{controller}"} & {*names})

    def without(self, controller: str) -> str:
        """Returns the value of the flag that turns one more controller off."""
        names = [name.strip() for name in self.value.split(",") if name.strip()]
        kept = [name for name in names if name not in (controller, f"+{controller}")]
        return ",".join([*kept, f"-{controller}"] if "*" in kept or not kept else kept)


def controllers_flag(deployment: Object) -> Flag:
    """Returns the flag that says which of kthena's controllers run."""
    for number, container in enumerate(containers(deployment)):
        for field in ("command", "args"):
            words = [str(word) for word in as_list(container.get(field))]
            for position, word in enumerate(words):
                if (match := _FLAG.match(word)) is None:
                    continue
                if match[1] is not None:
                    return Flag(number, field, position, match[1])
                if position + 1 < len(words):
                    return Flag(number, field, position + 1, words[position + 1], is_joined=False)
    return Flag(0, "args", None, "*")


def rival_controller(facts: Facts) -> Finding:
    """The ModelBooster controller of kthena is off: two controllers would fight."""
    if facts.managers.lacks:
        return without_right(facts.managers.lacks)
    managers = facts.managers.items
    if not managers:
        return skipped(f"no Deployment {CONTROLLER_MANAGER} found")
    rivals = [obj for obj in managers if controllers_flag(obj).has("modelbooster")]
    if not rivals:
        return ok("kthena's own ModelBooster controller is off")
    old = [obj for obj in rivals if (r := release_of_manager(obj)) and r < _FIRST_WITH_FLAG]
    names = listed(str(key_of(obj)) for obj in rivals)
    if old:
        return failed(
            f"kthena's own ModelBooster controller is on, in {names}; kthena "
            f"{release_of_manager(old[0])} cannot turn it off",
            note="upgrade kthena to v0.3.0 or later, then turn it off "
            "(docs/migrate-from-kthena.md)",
        )
    return failed(
        f"kthena's own ModelBooster controller is on, in {names}: both controllers write the same"
        " objects",
        *(_turn_off(obj) for obj in rivals),
        note='set workload.controllerManager.controllers: "*,-modelbooster" in the values of '
        "kthena's chart too, so that it stays off",
    )


def serving_controller(facts: Facts) -> Finding:
    """The serving controller of kthena runs, which starts the pods of models."""
    managers = facts.managers
    if managers.items and not any(controllers_flag(o).has("modelserving") for o in managers.items):
        obj = managers.items[0]
        return failed(
            f"the serving controller is turned off in {key_of(obj)}: no pods are started",
            f"kubectl -n {key_of(obj).namespace} edit deployment {key_of(obj).name}",
            note="remove -modelserving from --controllers",
        )
    return _running(managers, CONTROLLER_MANAGER, "no pods are started")


def router(facts: Facts) -> Finding:
    """The router of kthena runs, which takes the requests of clients."""
    return _running(facts.routers, ROUTER, "no client reaches a model")


def _running(seen: Seen, name: str, otherwise: str) -> Finding:
    if seen.lacks:
        return without_right(seen.lacks)
    if not seen.items:
        return failed(f"no Deployment {name} found: {otherwise}", note=_INSTALL)
    down = [obj for obj in seen.items if available(obj)[0] == 0]
    texts = listed(f"{key_of(o)} {available(o)[0]}/{available(o)[1]}" for o in seen.items)
    if len(down) == len(seen.items):
        return failed(f"not available: {texts}; {otherwise}", *_starts(down))
    short = [obj for obj in seen.items if available(obj)[0] < available(obj)[1]]
    if short:
        return warning(f"not all replicas are available: {texts}", *_starts(short))
    return ok(f"available: {texts}")


def _starts(deployments: list[Object]) -> Iterator[str]:
    for obj in deployments:
        key = key_of(obj)
        if available(obj)[1] == 0:
            yield f"kubectl -n {key.namespace} scale deployment/{key.name} --replicas=1"
        else:
            yield f"kubectl -n {key.namespace} describe deployment {key.name}"


def _turn_off(deployment: Object) -> str:
    flag, key = controllers_flag(deployment), key_of(deployment)
    value = flag.without("modelbooster")
    word = f"--controllers={value}" if flag.is_joined else value
    path = f"/spec/template/spec/containers/{flag.container}/{flag.field}"
    if flag.position is not None:
        operation = f'{{"op":"replace","path":"{path}/{flag.position}","value":"{word}"}}'
    elif any(c.get("args") for c in list(containers(deployment))[:1]):
        operation = f'{{"op":"add","path":"{path}/-","value":"{word}"}}'
    else:
        operation = f'{{"op":"add","path":"{path}","value":["{word}"]}}'
    return f"kubectl -n {key.namespace} patch deployment {key.name} --type=json -p '[{operation}]'"
