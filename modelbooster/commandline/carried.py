"""Arguments of a command that a ModelBooster says otherwise, or that pods cannot have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from app.engines.engine import Engine
from app.engines.text import argument_text
from app.errors import UsageError
from app.model.engine import RAY_GONE
from app.model.roles import EXECUTOR_BACKEND
from app.values.meta import Object
from modelbooster.commandline.left_out import mounts_of
from modelbooster.commandline.program import Launch
from modelbooster.commandline.secrets import (
    SecretKeys,
    is_secret_field,
    looks_secret,
    without_secrets,
)
from modelbooster.commandline.shell import shown
from modelbooster.commandline.sources import host_path

_PORTS = {"vllm": 8000, "sglang": 30000}
_PATH = re.compile(r"(/|~|\.{1,2}/)")
_NO_PATHS = frozenset({"root-path", "fastapi-root-path", "middleware"})
_IMAGE_FILES = "examples/"
"""Folder of the templates in vLLM's images, relative to the working directory."""

_SILENT = frozenset({"node-rank", "master-addr", "master-port", "headless"}) | {
    *("dist-init-addr", "enable-metrics", "dist-timeout")
}
"""Arguments that the operator writes itself."""

_NODES = ("data-parallel-address", "data-parallel-start-rank", "data-parallel-rpc-port")
_KEYS = {
    "vllm": {"api-key": "VLLM_API_KEY", "hf-token": "HF_TOKEN"},
    "sglang": {"api-key": "SGLANG_API_KEY", "admin-api-key": "SGLANG_ADMIN_API_KEY"},
}
"""Arguments that are secrets, with the variable that takes each."""

_READ_BY_ENGINE = frozenset({"VLLM_API_KEY", "HF_TOKEN"})
"""Variables that the engine reads by itself; others go back into its arguments."""


def carry(
    launch: Launch,
    engine: Engine,
    config: dict[str, Any],
    secrets: SecretKeys,
    notes: list[str],
    *,
    pods: int,
) -> list[Object]:
    """Takes out of ``config`` what a ModelBooster says otherwise; returns further ``env``.

    Raises:
        UsageError: an argument cannot be carried, and without it the engine would do another thing.
    """
    _check(launch.engine, config)
    for key in _SILENT & config.keys():
        del config[key]
    host = config.pop("host", "0.0.0.0")  # noqa: S104 - what commands usually say
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104
        notes.append(f"--host {shown(str(host))} is left out: requests come from other pods")
    port = config.pop("port", None)
    if port not in (None, 8000, _PORTS[launch.engine]):
        notes.append(
            f"--port {shown(str(port))} is left out: the engine listens on 8000 in its own pod"
        )
    if "download-dir" in config:
        notes.append("--download-dir is left out: cacheURI says where downloads are kept (--cache)")
        del config["download-dir"]
    if "uds" in config:
        notes.append("--uds is left out: requests reach the engine on its TCP port")
        del config["uds"]
    _executor(launch, engine, config, notes, pods)
    config.pop("nnodes", None)
    env = _secrets(launch.engine, config, secrets)
    _files(launch, config, notes)
    return env


def _check(engine: str, config: Mapping[str, Any]) -> None:
    """Raises UsageError for an argument that cannot be carried."""
    if "config" in config:
        raise UsageError(
            f"--config {shown(str(config['config']))}: the file is on your machine; write its "
            "arguments into the command"
        )
    if engine == "sglang" and config.get("disaggregation-mode", "null") != "null":
        raise UsageError(
            "--disaggregation-mode: prefill and decode are two commands, and one backend of type "
            "SGLangDisaggregated; examples/disaggregated.yaml has the form"
        )
    transfer = config.get("kv-transfer-config")
    role = transfer.get("kv_role") if isinstance(transfer, dict) else None
    role = role or config.get("kv-transfer-config.kv_role")
    if role in ("kv_producer", "kv_consumer"):
        raise UsageError(
            f"--kv-transfer-config with kv_role {role}: prefill and decode are two commands, and "
            "one backend of type vLLMDisaggregated; examples/disaggregated.yaml has the form"
        )
    local, size = config.get("data-parallel-size-local"), config.get("data-parallel-size")
    spread = [name for name in _NODES if name in config]
    if spread or (isinstance(local, int) and isinstance(size, int) and local < size):
        name = spread[0] if spread else "data-parallel-size-local"
        raise UsageError(
            f"--{name}: data parallelism over several machines cannot be carried; leave the "
            "--data-parallel flags out and use replicas (minReplicas, maxReplicas) instead"
        )


def _executor(
    launch: Launch, engine: Engine, config: dict[str, Any], notes: list[str], pods: int
) -> None:
    """Says how the pods of one engine find each other, and leaves Ray out where there is none."""
    if launch.engine != "vllm":
        return
    if config.pop("nnodes", 1) != 1 and pods > 1:
        config.setdefault(EXECUTOR_BACKEND, "mp")
    official = launch.container is None or "vllm-openai" in launch.container.image
    if not (official and engine.at_least(RAY_GONE)):
        return
    if config.get(EXECUTOR_BACKEND) == "ray":
        del config[EXECUTOR_BACKEND]
        how = "vLLM connects the pods by itself" if pods > 1 else "one pod needs no Ray"
        notes.append(f"--{EXECUTOR_BACKEND} ray is left out: the image has no Ray, and {how}")
    if pods > 1:
        # If nothing tells the release of the image, conversion would start Ray.
        config.setdefault(EXECUTOR_BACKEND, "mp")


def _secrets(engine: str, config: dict[str, Any], secrets: SecretKeys) -> list[Object]:
    """Replaces secrets by variables that read a Secret; returns those variables."""
    known = _KEYS[engine]
    env: list[Object] = []
    for key, value in list(config.items()):
        config[key] = value = _without_fields(key, value, secrets, env)
        first = value[0] if isinstance(value, list) and len(value) == 1 else value
        text = argument_text(first)
        if not (key in known or looks_secret(text)):
            continue
        name = known.get(key) or re.sub(r"\W", "_", key.upper())
        _add(name, secrets, env)
        if name in _READ_BY_ENGINE:
            del config[key]
        else:
            # Kubernetes replaces it in the command of the container.
            variable = f"$({name})"
            config[key] = variable if key in known else without_secrets(text, variable)
    return env


def _add(name: str, secrets: SecretKeys, env: list[Object]) -> None:
    """Adds a variable that reads the Secret, unless the command sets that variable, too."""
    if name not in secrets.keys:
        env.append(secrets.variable(name))


def _without_fields(key: str, value: Any, secrets: SecretKeys, env: list[Object]) -> Any:
    """Returns a value of an argument with variables for the secrets that its fields hold."""
    if isinstance(value, dict):
        return {
            name: _without_fields(f"{key}.{name}", inner, secrets, env)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_fields(key, inner, secrets, env) for inner in value]
    if "." not in key or not is_secret_field(key.rpartition(".")[2], value):
        return value
    name = re.sub(r"\W", "_", key.upper())
    _add(name, secrets, env)
    return f"$({name})"


def _files(launch: Launch, config: dict[str, Any], notes: list[str]) -> None:
    """Leaves out files and folders that pods do not have."""
    mounts = mounts_of(launch.container)
    for key, value in list(config.items()):
        words = value if isinstance(value, list) else [value]
        for name, part in value.items() if isinstance(value, dict) else ():
            if isinstance(part, str) and _PATH.match(part):
                notes.append(
                    f"--{key}: {name} is {shown(part)}, a path that pods may not have; name a "
                    "repository, or put it into the image"
                )
        for word in words:
            if not isinstance(word, str) or key in _NO_PATHS or not _is_file(word):
                continue
            if launch.container is not None and not host_path(word, mounts):
                continue  # a file of the image
            if word.startswith(_IMAGE_FILES):
                continue
            del config[key]
            notes.append(
                f"--{key} {shown(word)} is left out: the file is on your machine; put it into the "
                "image or into the model's repository"
            )
            break


def _is_file(word: str) -> bool:
    return _PATH.match(word) is not None or word.endswith(".jinja")
