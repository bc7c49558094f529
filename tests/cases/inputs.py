"""The inputs of the cases, and what ``validate`` and ``render`` say of them."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.apis.kinds import Profile
from app.validation import Context
from app.values.meta import Object
from modelbooster.offline.answers import Answer, answers, children
from modelbooster.offline.documents import Document

FOLDER = Path(__file__).parent
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(number: str) -> Object:
    """Returns the input of a case, by its number (``p01``) or by the whole name of its file."""
    (path,) = FOLDER.glob(f"{number}.yaml" if "-" in number else f"{number}-*.yaml")
    obj: Object = yaml.safe_load(path.read_text())
    return obj


def answer(case: str | Object, profile: Profile = Profile.B) -> Answer:
    """Returns the answer of ``model-booster validate``."""
    obj = read(case) if isinstance(case, str) else case
    (found,) = answers([Document("case", obj)], Context(profile=profile), note=_nothing)
    return found


def _nothing(_: str) -> None:
    pass


def faults(case: str | Object) -> dict[str, str]:
    """Returns the faults by path."""
    return {str(fault.path): fault.message for fault in answer(case).faults}


def warnings(case: str | Object) -> tuple[str, ...]:
    """Returns the warnings about a valid input."""
    found = answer(case)
    assert found.allowed, found.text()
    return found.warnings


def rendered(case: str | Object, kind: str) -> list[Object]:
    """Returns the children of a kind, as ``model-booster render`` prints them."""
    found = answer(case)
    assert found.allowed, found.text()
    return [child for child in children(found) if child["kind"] == kind]


def templates(case: str | Object) -> Iterator[Object]:
    """Yields the spec of every pod template: of leaders, followers, prefill and decode."""
    for serving in rendered(case, "ModelServing"):
        for role in serving["spec"]["template"]["roles"]:
            for part in ("entryTemplate", "workerTemplate"):
                if part in role:
                    yield role[part]["spec"]


def engines(case: str | Object) -> list[Object]:
    """Returns the containers of engines: all but sidecars and downloaders."""
    return [
        container
        for template in templates(case)
        for container in template["containers"]
        if container["name"] != "runtime"
    ]


def words(container: Object) -> list[str]:
    """Returns the command line of a container, also of one in a shell."""
    command: list[str] = [*container["command"], *container.get("args", [])]
    if command[:2] == ["bash", "-c"]:
        return shlex.split(command[2])
    return command


def value_of(command: list[str], flag: str) -> str:
    """Returns the word behind a flag, or behind its equals sign."""
    for position, word in enumerate(command):
        if word == flag:
            return command[position + 1]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2]
    raise AssertionError(f"{flag} is not in {command}")


def with_worker(case: str, **fields: Any) -> Object:
    """Returns the input of a case with other fields of its first worker."""
    obj = copy.deepcopy(read(case))
    obj["spec"]["backends"][0]["workers"][0] |= fields
    return obj


def with_backend(case: str, **fields: Any) -> Object:
    """Returns the input of a case with other fields of its first backend."""
    obj = copy.deepcopy(read(case))
    obj["spec"]["backends"][0] |= fields
    return obj
