"""The command line of an SGLang engine.

Flags: https://docs.sglang.ai/advanced_features/server_arguments.html. SGLang listens on localhost
and reports no metrics unless it is told to.
"""

from __future__ import annotations

import re

from app.convert.pods.adapters import adapter_switch, check_adapters
from app.convert.pods.inputs import PodInputs
from app.model.arguments import arguments
from app.model.names import served_model_name
from app.model.ports import engine_port
from app.model.roles import Role, is_disaggregated

KV_EVENTS = '{"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:5557"}'
"""Publishes which prefixes an engine has cached; the router scores pods by them."""

RENDEZVOUS_PORT = 20000
"""The TCP port of the first pod on which the engines of a group find each other."""

_EVENTS_READ = (1, 0)
"""The first release of kthena's sidecar that reads the cache events of SGLang."""

_SIDECAR_TAG = re.compile(r":v(\d{1,4})\.(\d{1,4})\.\d{1,4}(?:[-@].*)?", re.ASCII)


def engine_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the engine in the first pod of a group.

    The arguments from ``config`` come first; we add no argument that ``config`` sets.

    Raises:
        SpecError: ``config`` cannot be written as arguments, or names adapters itself.
    """
    given = arguments(role.worker)
    command = _launch(inputs, role, "0")
    for flag, value in (
        ("host", "0.0.0.0"),  # noqa: S104 - requests come from other pods
        ("port", str(engine_port(inputs.backend))),
        ("served-model-name", served_model_name(inputs.model, inputs.backend)),
    ):
        if given.get(flag) is None:
            command += [f"--{flag}", value]
    if "enable-metrics" not in given:
        command.append("--enable-metrics")
    if is_disaggregated(inputs.backend):
        command += ["--disaggregation-mode", role.name]
    if inputs.options.kv_events and "kv-events-config" not in given and _are_events_read(inputs):
        command += ["--kv-events-config", KV_EVENTS]
    return command + _adapters(inputs, role)


def follower_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the other pods of a group, which run a part of the engine each.

    Raises:
        SpecError: ``config`` cannot be written as arguments, or names adapters itself.
    """
    return _launch(inputs, role, "$(WORKER_INDEX)") + _adapters(inputs, role)


def _launch(inputs: PodInputs, role: Role, rank: str) -> list[str]:
    command = ["python3", "-m", "sglang.launch_server", "--model-path", inputs.model_path]
    command += arguments(role.worker).words
    if role.followers:
        # kthena sets ENTRY_ADDRESS and WORKER_INDEX in every container of a group.
        command += ["--nnodes", str(role.followers + 1), "--node-rank", rank]
        command += ["--dist-init-addr", f"$(ENTRY_ADDRESS):{RENDEZVOUS_PORT}"]
    return command


def _adapters(inputs: PodInputs, role: Role) -> list[str]:
    adapters = inputs.backend.lora_adapters
    if not adapters:
        return []
    check_adapters(inputs.backend, role.worker)
    # The only form that all releases read; 0.4.9 takes the whole of a JSON text for a path.
    pairs = zip(adapters, inputs.adapter_paths, strict=True)
    paths = [f"{adapter.name}={path}" for adapter, path in pairs]
    return [*adapter_switch(inputs.backend, role.worker), "--lora-paths", *paths]


def _are_events_read(inputs: PodInputs) -> bool:
    """Whether the sidecar reads the cache events of SGLang; an unknown release does not."""
    tag = _SIDECAR_TAG.search(inputs.options.runtime_image)
    return tag is not None and (int(tag[1]), int(tag[2])) >= _EVENTS_READ
