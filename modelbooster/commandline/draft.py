"""Turns a command that starts an engine into a ModelBooster."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.apis.kinds import MODEL_BOOSTER, PROFILES, Profile
from app.apis.schema import SERVED_NAME_PATTERN
from app.engines.engine import Engine
from app.engines.image import release_of_image
from app.errors import UsageError
from app.model.annotations import ENGINE_RELEASE
from app.values.meta import Object
from modelbooster.commandline import hardware
from modelbooster.commandline.arguments import Reading
from modelbooster.commandline.carried import carry
from modelbooster.commandline.environment import entries
from modelbooster.commandline.left_out import mounts_of, notes_about, resource_limits
from modelbooster.commandline.program import Launch, find_launch
from modelbooster.commandline.reading import Choices, read_launch
from modelbooster.commandline.secrets import SecretKeys
from modelbooster.commandline.shell import is_known, shown, unknown_in
from modelbooster.commandline.sources import Source, adapters_of, model_source, uses_modelscope

_TYPES = {"vllm": "vLLM", "sglang": "SGLang"}
_MAX_NAME_LENGTH = 40
"""kthena's names of pods leave some 45 characters for the name with that of a backend."""


@dataclass(slots=True)
class Draft:
    """A ModelBooster made of a command.

    Args:
        booster: the object.
        notes: what is otherwise than in the command, and what to do about it.
        secrets: the Secret that it reads.
    """

    booster: Object
    notes: list[str]
    secrets: SecretKeys


def draft(text: str, choices: Choices, read_file: Callable[[str], str]) -> Draft:
    """Returns the ModelBooster that serves the model as the command does.

    Args:
        text: the command, with what stands around it.
        choices: what the user states besides.
        read_file: returns the text of a file that ``--env-file`` names.

    Raises:
        UsageError: the command starts no engine, the engine would refuse it, or pods cannot fetch
            its model.
    """
    launch = find_launch(text, read_file)
    engine, image, reading, notes = read_launch(launch, choices)
    config = reading.config
    source = _source(launch, reading, choices)
    names = _served_names(config, source)
    name = choices.name or _object_name(source, names)
    secrets = SecretKeys(f"{name}-secrets", choices.namespace)
    notes = notes + reading.notes
    if launch.left_out:
        notes.append(f"left out around the engine: {', '.join(dict.fromkeys(launch.left_out))}")
    pods, limits = _size(launch, engine, config, choices, notes)
    env = entries(launch, engine, secrets, notes)
    env += carry(launch, engine, config, secrets, notes, pods=pods)
    adapters = _adapters(launch, config, notes)
    client_name = names[0] if names and re.match(SERVED_NAME_PATTERN, names[0]) else name
    if len(names) > 1:
        notes.append(f'clients can use the name "{client_name}" only; the others have no route')
    if launch.container is not None:
        notes += notes_about(launch.container, client_name)
    if choices.cache_uri is None:
        notes.append(
            "each pod downloads the model when it starts; --cache hostpath:///var/cache/models or "
            "--cache pvc://CLAIM keeps it"
        )
    form = PROFILES[choices.kthena] if choices.kthena else Profile.A
    worker = {"type": "server", "image": image, "replicas": 1, "pods": pods}
    backend = {
        "name": launch.engine,
        "type": _TYPES[launch.engine],
        "modelURI": source.uri,
        **({"cacheURI": choices.cache_uri} if choices.cache_uri else {}),
        **({"env": env} if env else {}),
        **({"replicas": 1} if form is Profile.C else {"minReplicas": 1, "maxReplicas": 1}),
        **({"loraAdapters": adapters} if adapters else {}),
        "workers": [
            worker
            | ({"resources": {"limits": limits}} if limits else {})
            | ({"config": config} if config else {})
        ],
    }
    metadata: Object = {"name": name}
    if choices.namespace:
        metadata["namespace"] = choices.namespace
    stated = choices.release or (launch.release if engine.release else "")
    if stated and release_of_image(launch.engine, image) is None:
        metadata["annotations"] = {ENGINE_RELEASE: stated}
    booster = {
        "apiVersion": MODEL_BOOSTER.api_version,
        "kind": MODEL_BOOSTER.kind,
        "metadata": metadata,
        "spec": {
            **({"name": client_name} if client_name != name else {}),
            **({"backends": [backend]} if form is Profile.A else {"backend": backend}),
        },
    }
    return Draft(booster, notes, secrets)


def _source(launch: Launch, reading: Reading, choices: Choices) -> Source:
    config, positional = reading.config, reading.positional
    given = [config.pop(key) for key in ("model", "model-tag", "model-path") if key in config]
    model = str(given[0]) if given else (positional.pop(0) if positional else "")
    if positional:
        listed = ", ".join(map(shown, positional))
        raise UsageError(f"these words belong to no flag: {listed}; the model is {shown(model)}")
    if not is_known(model) and choices.model_uri is None:
        detail = "write the model, or set the variable first"
        raise UsageError(f"the value of {unknown_in(model)} is not in the command; {detail}")
    source = model_source(
        model,
        choices.model_uri,
        modelscope=uses_modelscope(launch.variables),
        mounts=mounts_of(launch.container),
    )
    for key in ("tokenizer", "tokenizer-path", "hf-config-path"):
        if config.get(key) == model:
            del config[key]
    revision = str(config.pop("revision", source.revision))
    if revision:
        variable = "MS_REVISION" if source.uri.startswith("ms://") else "HF_REVISION"
        launch.variables[variable] = revision
    return source


def _served_names(config: dict[str, Any], source: Source) -> list[str]:
    given = config.pop("served-model-name", None)
    names = given if isinstance(given, list) else [given] if given else []
    return [str(name) for name in names] or ([source.repository] if source.repository else [])


def _object_name(source: Source, names: list[str]) -> str:
    text = (source.repository or (names[0] if names else source.uri)).rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    name = name if name[:1].isalpha() else f"model-{name}".rstrip("-")
    return name[:_MAX_NAME_LENGTH].rstrip("-")


def _size(
    launch: Launch, engine: Engine, config: dict[str, Any], choices: Choices, notes: list[str]
) -> tuple[int, dict[str, str]]:
    """Returns the pods of one engine, and the limits of each."""
    devices = hardware.devices_of_engine(launch.engine, config)
    resource = choices.resource or hardware.resource_of(launch, config)
    pods = choices.pods or hardware.pods_of_engine(launch, config, resource, devices)
    if pods > 1 and choices.pods is None and "nnodes" not in config:
        notes.append(
            f"{devices} devices over several machines become {pods} pods; --pods states another "
            "number"
        )
    limits = resource_limits(launch.container)
    if resource != hardware.CPU:
        limits[resource] = str(-(-devices // pods))
    visible = hardware.visible_devices(launch)
    if visible is not None and visible < devices and pods == 1:
        notes.append(f"the command shows {visible} devices to an engine that needs {devices}")
    elif visible is not None and visible > devices:
        notes.append(
            f"the command shows {visible} devices, but its engine uses {devices}, and a pod gets "
            "as many: set the tensor parallel size to use more"
        )
    return pods, limits


def _adapters(launch: Launch, config: dict[str, Any], notes: list[str]) -> list[Object]:
    key = "lora-modules" if launch.engine == "vllm" else "lora-paths"
    items = config.pop(key, None)
    if items is None:
        return []
    found, missing = adapters_of(items, modelscope=uses_modelscope(launch.variables))
    if missing:
        notes.append(
            f"adapters left out: {', '.join(missing)}; pods do not have the folders of your "
            "machine: upload them, and add loraAdapters with their artifactURL"
        )
    return found
