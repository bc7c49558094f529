"""The command line of a vLLM engine.

Flags: https://docs.vllm.ai/en/stable/configuration/engine_args.html. Every element of ``config``
becomes exactly one argument, whatever characters it contains. As in every command of a pod,
Kubernetes replaces ``$(NAME)`` with the container's variable; ``$$(NAME)`` is the literal text.
"""

from __future__ import annotations

import re
import shlex

from app.convert.pods.inputs import PodInputs
from app.model.arguments import arguments
from app.model.forms import BackendForm, WorkerForm
from app.model.names import served_model_name
from app.model.roles import Role, devices
from app.values.fields import SpecError, forbidden

KV_EVENTS = (
    '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"kv-events",'
    '"endpoint":"tcp://*:5557"}'
)
"""Publishes which prefixes an engine has cached; the router scores pods by them."""

_OPEN = re.compile(r"\$\$|\$\(")
"""What Kubernetes expands in a command: ``$$`` is a dollar sign, ``$(`` begins a name."""

RAY_SCRIPT = "examples/online_serving/multi-node-serving.sh"
"""A script in vLLM's images, relative to the working directory; starts Ray on the group's nodes."""


def engine_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the engine in the first pod of a group.

    The arguments from ``config`` come first; we add no argument that ``config`` sets.

    Raises:
        SpecError: ``config`` cannot be written as arguments, or names adapters itself.
    """
    model, backend, given = inputs.model, inputs.backend, arguments(role.worker)
    command = ["python3", "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", inputs.model_path, *given.words()]
    if "served-model-name" not in given:
        command += ["--served-model-name", served_model_name(model, backend)]
    if role.followers and "distributed-executor-backend" not in given:
        command += ["--distributed_executor_backend", "ray"]
    if inputs.options.kv_events and "kv-events-config" not in given:
        command += ["--kv-events-config", KV_EVENTS]
    command += _adapters(inputs, role)
    return _after_ray_has_started(role, command) if role.followers else command


def follower_command() -> list[str]:
    """Returns the command of the other pods of a group, which join the Ray cluster of the first."""
    join = f"{RAY_SCRIPT} worker --ray_address=$(ENTRY_ADDRESS)"
    return ["bash", "-c", f"chmod u+x {RAY_SCRIPT} && {join}"]


def check_lora_modules(backend: BackendForm, worker: WorkerForm) -> None:
    """Raises SpecError if both ``loraAdapters`` and ``config`` name adapters."""
    named = arguments(worker).get("lora-modules")
    if named and backend.lora_adapters:
        detail = "loraAdapters is set as well, and one of the two would win silently"
        raise SpecError(forbidden(named.path, detail))


def _adapters(inputs: PodInputs, role: Role) -> list[str]:
    adapters = inputs.backend.lora_adapters
    if not adapters:
        return []
    check_lora_modules(inputs.backend, role.worker)
    switch = [] if "enable-lora" in arguments(role.worker) else ["--enable-lora"]
    modules = [
        f"{adapter.name}={path}"
        for adapter, path in zip(adapters, inputs.adapter_paths, strict=True)
    ]
    return [*switch, "--lora-modules", *modules]


def _after_ray_has_started(role: Role, command: list[str]) -> list[str]:
    """Returns a shell command that starts Ray, waits for the followers, then runs ``command``."""
    size = f"--ray_cluster_size={role.followers + 1} --num-gpus={devices(role.worker)}"
    start = f"chmod u+x {RAY_SCRIPT} && {RAY_SCRIPT} leader {size}"
    return ["bash", "-c", f"{start} && {shlex.join(map(_closed, command))}"]


def _closed(word: str) -> str:
    """Returns a word in which each ``$(`` without a closing parenthesis is escaped.

    Otherwise Kubernetes would find the parenthesis in a later word of the script.
    """
    head, end, rest = word.rpartition(")")
    return head + end + _OPEN.sub(_escaped, rest)


def _escaped(match: re.Match[str]) -> str:
    return "$$(" if match[0] == "$(" else match[0]
