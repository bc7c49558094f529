"""The command of an engine's container, by engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from app.convert.pods import sglang, vllm
from app.convert.pods.inputs import PodInputs
from app.model.roles import Role


class _Commands(NamedTuple):
    engine: Callable[[PodInputs, Role], list[str]]
    follower: Callable[[PodInputs, Role], list[str]]


_COMMANDS = {
    "vllm": _Commands(vllm.engine_command, vllm.follower_command),
    "sglang": _Commands(sglang.engine_command, sglang.follower_command),
}


def engine_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the engine in the first pod of a group.

    Raises:
        SpecError: ``config`` cannot be written as arguments, or names adapters itself.
    """
    return _COMMANDS[role.worker.engine].engine(inputs, role)


def follower_command(inputs: PodInputs, role: Role) -> list[str]:
    """Returns the command of the other pods of a group, which join the first.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    return _COMMANDS[role.worker.engine].follower(inputs, role)
