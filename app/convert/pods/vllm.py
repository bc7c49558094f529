"""The command line of a vLLM engine.

Flags: https://docs.vllm.ai/en/stable/configuration/engine_args.html. Every element of ``config``
becomes exactly one argument, whatever characters it contains. As in every command of a pod,
Kubernetes replaces ``$(NAME)`` with the container's variable; ``$$(NAME)`` is the literal text.
"""

from __future__ import annotations

import json
import re
import shlex

from app.convert.pods.adapters import adapter_switch, check_adapters
from app.convert.pods.inputs import PodInputs
from app.engines.release import release
from app.model.arguments import arguments
from app.model.engine import engine
from app.model.names import served_model_name
from app.model.roles import EXECUTOR_BACKEND, Launcher, Role, devices, launcher

KV_EVENTS = (
    '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"kv-events",'
    '"endpoint":"tcp://*:5557"}'
)
"""Publishes which prefixes an engine has cached; the router scores pods by them."""

_JSON = json.JSONEncoder(ensure_ascii=False)

_OPEN = re.compile(r"\$\$|\$\(")
"""What Kubernetes expands in a command: ``$$`` is a dollar sign, ``$(`` begins a name."""

RAY_SCRIPTS = (
    "examples/online_serving/multi-node-serving.sh",
    "examples/ray_serving/multi-node-serving.sh",
)
"""Where vLLM's images have the script that starts Ray on the pods of a group, relative to the
working directory: up to 0.20.2, and from 0.21.0 on."""

_RAY_MOVED = release("0.21.0")

_HEADLESS, _API_SERVERS = "headless", "api-server-count"
"""Flags on which only ``vllm serve`` acts."""


def engine_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the engine in the first pod of a group.

    The arguments from ``config`` come first; we add no argument that ``config`` sets.

    Raises:
        SpecError: ``config`` cannot be written as arguments, or names adapters itself.
    """
    given = arguments(role.worker)
    if role.followers and launcher(role.worker) is Launcher.NODES:
        return [*_serve(inputs, role), *_node(role, "0"), *_ours(inputs, role)]
    if _HEADLESS in given or _API_SERVERS in given:
        command = _serve(inputs, role)
    else:
        command = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", inputs.model_path, *given.words]
    if role.followers and EXECUTOR_BACKEND not in given:
        command += ["--distributed_executor_backend", "ray"]
    command += _ours(inputs, role)
    return _after_ray_has_started(role, command) if role.followers else command


def follower_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the other pods of a group, which join the first.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    if launcher(role.worker) is Launcher.NODES:
        switch = adapter_switch(inputs.backend, role.worker)
        return [*_serve(inputs, role), *_node(role, "$(WORKER_INDEX)"), "--headless", *switch]
    return ["bash", "-c", f"{_find_ray(role)} worker --ray_address=$(ENTRY_ADDRESS)"]


def _serve(inputs: PodInputs, role: Role) -> list[str]:
    return ["vllm", "serve", inputs.model_path, *arguments(role.worker).words]


def _node(role: Role, rank: str) -> list[str]:
    """Returns the arguments that make an engine one of several.

    kthena sets ENTRY_ADDRESS and WORKER_INDEX in every container of a group.
    """
    words = ["--nnodes", str(role.followers + 1), "--node-rank", rank]
    words += ["--master-addr", "$(ENTRY_ADDRESS)"]
    if EXECUTOR_BACKEND not in arguments(role.worker):
        words += [f"--{EXECUTOR_BACKEND}", "mp"]
    return words


def _ours(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the arguments that we add for the pod that takes the requests."""
    worker = role.worker
    given, words = arguments(worker), []
    if given.get("served-model-name") is None:
        words += ["--served-model-name", served_model_name(inputs.model, inputs.backend)]
    if (
        inputs.options.kv_events
        and "kv-events-config" not in given
        and engine(worker).has("kv-events-config")
    ):
        words += ["--kv-events-config", KV_EVENTS]
    return words + _adapters(inputs, role) if inputs.backend.lora_adapters else words


def _adapters(inputs: PodInputs, role: Role) -> list[str]:
    adapters = inputs.backend.lora_adapters
    if not adapters:
        return []
    check_adapters(inputs.backend, role.worker)
    # Every release reads this form, whatever characters name and path contain.
    modules = [
        f'{{"name":{_JSON.encode(adapter.name)},"path":{_JSON.encode(path)}}}'
        for adapter, path in zip(adapters, inputs.adapter_paths, strict=True)
    ]
    return [*adapter_switch(inputs.backend, role.worker), "--lora-modules", *modules]


def _after_ray_has_started(role: Role, command: list[str]) -> list[str]:
    """Returns a shell command that starts Ray, waits for the followers, then runs ``command``."""
    each = devices(role.worker)
    known = "" if each is None else f" --num-gpus={each}"  # otherwise Ray detects them
    size = f"--ray_cluster_size={role.followers + 1}{known}"
    return ["bash", "-c", f"{_find_ray(role)} leader {size} && {shlex.join(map(_closed, command))}"]


def _find_ray(role: Role) -> str:
    """Returns the shell text that ends with the call of the script that starts Ray."""
    of = engine(role.worker).release
    if of is not None:
        script = RAY_SCRIPTS[of >= _RAY_MOVED]
        return f"chmod u+x {script} && {script}"
    old, new = RAY_SCRIPTS
    missing = "no Ray script in this image: set distributed-executor-backend to mp"
    return (
        f"script={old}; [ -f $script ] || script={new}; "
        f"[ -f $script ] || {{ echo '{missing}' >&2; exit 1; }}; "
        "chmod u+x $script && $script"
    )


def _closed(word: str) -> str:
    """Returns a word in which each ``$(`` without a closing parenthesis is escaped.

    Otherwise Kubernetes would find the parenthesis in a later word of the script.
    """
    head, end, rest = word.rpartition(")")
    return head + end + _OPEN.sub(_escaped, rest)


def _escaped(match: re.Match[str]) -> str:
    return "$$(" if match[0] == "$(" else match[0]
