"""The command lines that the engines of our examples, golden cases and reported cases get.

Each is what the engine's program is started with: variables expanded as the kubelet does it, and
commands in a shell run by that shell, with programs that only note their arguments.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml

from app.apis.kinds import Profile
from app.engines.engine import Engine, engine_of
from app.engines.fault import Wrong
from app.engines.table import STRUCTURED, Flag, Kind, Type, releases
from app.model.annotations import ENGINE_RELEASE
from app.model.arguments import arguments
from app.model.engine import engine
from app.model.forms import BackendForm, Model
from app.model.names import served_model_name
from app.model.roles import Launcher, Role, launcher, roles, served
from app.validation import Context
from app.values.meta import Object
from modelbooster.offline.answers import Answer, answers, children
from modelbooster.offline.documents import Document
from tests.engine_values import meant
from tests.programs.test_convert_shell import expand

ROOT = Path(__file__).parents[2]
INPUTS = ("tests/golden/cases/*/input.yaml", "tests/cases/*.yaml", "examples/*.yaml")

_NODE = {"ENTRY_ADDRESS": "demo-0-leader-0-0.demo", "WORKER_INDEX": "1", "GROUP_SIZE": "2"}
"""What kthena sets in the containers of a group."""

_NOTE = '#!/bin/bash\nprintf \'%s\\0\' "${0##*/}" "$@" > "$NOTES"\n'
_SCRIPTS = ("examples/online_serving", "examples/ray_serving")


class Line(NamedTuple):
    """A command line of an engine.

    Args:
        source: the file of its ModelBooster, and the pod.
        by_image: whether the image names the release; otherwise the annotation states it, or the
            release is the one that is assumed.
        words: the program and its arguments.
        want: what the parser should read, by flag and by what the user or we wrote it for.
    """

    source: str
    by_image: bool
    words: list[str]
    want: dict[str, Any]


def command_lines(name: str, text: str) -> Iterator[Line]:
    """Yields the command lines that an engine release gets.

    A ModelBooster whose image names another release, or none, is annotated with this one, and left
    out if admission refuses it then.

    Args:
        name: ``vllm`` or ``sglang``.
        text: the release.
    """
    of = engine_of(name, "", text)
    seen: set[str] = set()
    for pattern in INPUTS:
        for path in sorted(ROOT.glob(pattern)):
            for obj in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader):
                for line in _lines(str(path.relative_to(ROOT)), obj, of):
                    key = json.dumps([line.source, line.words])
                    if key not in seen:
                        seen.add(key)
                        yield line


def _lines(source: str, obj: Object, of: Engine) -> Iterator[Line]:
    if obj.get("kind") != "ModelBooster":
        return
    backends = obj.get("spec", {}).get("backends") or [{}]
    named = [each.get("name") for each in backends if each.get("type") is not None]
    own = [
        one
        for each, one in zip(backends, named, strict=False)
        if str(each["type"]).startswith("SGLang") == (of.name == "sglang")
    ]
    stated = copy.deepcopy(obj)
    notes = stated.setdefault("metadata", {}).setdefault("annotations", {})
    notes[ENGINE_RELEASE] = ",".join(f"{one}={of.release}" for one in own)
    if not own:
        return
    plain, answer = (
        answers([Document(source, each)], Context(profile=Profile.B), note=lambda _: None)[0]
        for each in (obj, stated)
    )
    if plain.allowed:
        # Where no release is known, admission only warns of what it refuses for a stated one.
        yield from _of_answer(source, plain, of, may_assume=answer.allowed)
    if answer.allowed:
        yield from _of_answer(source, answer, of, is_stated=True)


def _of_answer(
    source: str, answer: Answer, of: Engine, *, is_stated: bool = False, may_assume: bool = False
) -> Iterator[Line]:
    model = answer.model
    if model is None:
        return
    servings = [child for child in children(answer) if child["kind"] == "ModelServing"]
    newest = releases(of.name)[-1]
    for backend, serving in zip(served(model), servings, strict=True):
        pods = serving["spec"]["template"]["roles"]
        for role, pod in zip(roles(backend), pods, strict=True):
            its = engine(role.worker)
            assumed = may_assume and its.release is None and of.release == newest
            if its.name != of.name or not (its.release == of.release or assumed):
                continue
            if any(each.wrong is not Wrong.DEPRECATED for each in arguments(role.worker).faults):
                continue  # admission refuses it, or warns that this release does not take it
            for part in ("entryTemplate", "workerTemplate"):
                containers = pod.get(part, {}).get("spec", {}).get("containers", ())
                for container in containers:
                    if container["name"] == "runtime":
                        continue
                    words = _started(container)
                    if words:
                        want = _wanted(its, model, backend, role, part)
                        where = f"{source} {backend.name}/{role.name}/{container['name']}"
                        yield Line(where, not is_stated and not assumed, words, want)


def _started(container: Object) -> list[str]:
    """Returns the program of the engine and its arguments; nothing if the container runs none."""
    texts = {one["name"]: one.get("value", "") for one in container.get("env", ())}
    command = [expand(word, texts | _NODE) for word in container["command"]]
    if command[0] != "bash":
        return command
    with TemporaryDirectory() as name:
        folder = Path(name)
        for program in ("python3", "vllm"):
            (folder / program).write_text(_NOTE)
            (folder / program).chmod(0o755)
        for place in _SCRIPTS:
            (folder / place).mkdir(parents=True)
            (folder / place / "multi-node-serving.sh").write_text("#!/bin/sh\n")
        notes = folder / "notes"
        env = {"PATH": f"{folder}:/usr/bin:/bin", "NOTES": str(notes)}
        subprocess.run(command, cwd=folder, env=env, check=True, timeout=30)
        return notes.read_bytes().decode().split("\0")[:-1] if notes.exists() else []


def _wanted(
    of: Engine, model: Model, backend: BackendForm, role: Role, part: str
) -> dict[str, Any]:
    """Returns what the parser should read: the entries of ``config``, and what the spec says."""
    want: dict[str, Any] = {}
    for key, value in role.worker.config.items():
        name, _, inner = key.partition(".")
        flag = of.flag(name.replace("_", "-"))
        if value is None or flag is None:
            continue
        if inner:
            for each in reversed(inner.split(".")):
                value = {each: value}
            want[flag.name] = want.get(flag.name, {}) | value
        else:
            want[flag.name] = _meant(flag, value)
    nodes = role.followers and launcher(role.worker) is Launcher.NODES
    if nodes:
        want["nnodes"] = role.followers + 1
        want["node-rank"] = 0 if part == "entryTemplate" else int(_NODE["WORKER_INDEX"])
    if part == "entryTemplate" and "served-model-name" not in want:
        names = served_model_name(model, backend)
        want["served-model-name"] = [names] if of.name == "vllm" else names
    if backend.lora_adapters and (part == "entryTemplate" or of.name == "sglang"):
        flag_name = "lora-modules" if of.name == "vllm" else "lora-paths"
        want[flag_name] = [{"name": adapter.name} for adapter in backend.lora_adapters]
    # A switch that is off gets no words, as it is off anyway.
    return {key: False if value is None else value for key, value in want.items()}


def _meant(flag: Flag, value: Any) -> Any:
    """Returns a value as the engine should read it: a text that is a number is one."""
    if flag.kind in (Kind.VALUE, Kind.OPTIONAL) and isinstance(value, str):
        try:
            if flag.type in STRUCTURED or (flag.type is Type.MIXED and value[:1] == "{"):
                return json.loads(value)
            if flag.type in (Type.INTEGER, Type.SIZE, Type.SIZE_OR_AUTO, Type.BINARY_SIZE):
                return int(value)
            if flag.type is Type.NUMBER:
                return float(value)
        except ValueError:
            pass
    if flag.type in (Type.TEXT, Type.OTHER) and isinstance(value, int | float):
        return str(value) if not flag.choices else value
    return meant(flag, value)
