"""Finds the engine that a piece of shell text starts, and what it is started with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from app.errors import UsageError
from modelbooster.commandline.container import Container, container_of, read_variable_file
from modelbooster.commandline.shell import (
    Command,
    is_known,
    read_commands,
    shown,
    unknown_in,
    written,
)

_MODULES = {
    "vllm.entrypoints.openai.api_server": "vllm",
    "vllm.entrypoints.api_server": "vllm",
    "sglang.launch_server": "sglang",
    "sglang.srt.entrypoints.http_server": "sglang",
}
_PROGRAMS = ("vllm", "sglang")
"""Programs that start the engine of their name with ``serve``."""

_SHELLS = ("bash", "sh", "zsh", "dash")
_HARMLESS = frozenset(
    """
    sudo nohup exec env time setsid stdbuf uv uvx run tool pipx poetry pdm conda mamba
    python python3 screen tmux script
    """.split()  # noqa: SIM905 - a list of one word a line hides the code
)
"""Programs that start another one and change nothing that matters here."""

_ENGINE_IMAGE = re.compile(r"(^|[/-])vllm(-|$)|vllm-openai|vllm-ascend", re.ASCII)
_PINNED = re.compile(r"(?<![\w-])(vllm|sglang)(?:\[[\w,-]*\])?==([\w.]+)", re.ASCII)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
_RANK = re.compile(r"--?(node[-_]rank|r)(=\d+)?")
_MAX_DEPTH = 3
"""How deep ``bash -c`` may be nested."""


@dataclass(slots=True)
class Launch:
    """An engine with what it is started with.

    Args:
        engine: ``vllm`` or ``sglang``.
        words: the arguments of the engine, the model among them.
        variables: environment variables; None for one whose value is that of the shell.
        container: the container that it runs in; None on the machine itself.
        release: the release that the text installs; empty if it installs none.
        left_out: programs around the engine that a pod does not have.
    """

    engine: str
    words: list[str]
    variables: dict[str, str | None] = field(default_factory=dict)
    container: Container | None = None
    release: str = ""
    left_out: list[str] = field(default_factory=list)


def find_launch(text: str, read_file: Callable[[str], str]) -> Launch:
    """Returns the engine that a text starts.

    Args:
        text: one command, or several lines around it.
        read_file: returns the text of a file that ``--env-file`` names.

    Raises:
        UsageError: the text starts no engine, or several, or cannot be read.
    """
    commands = read_commands(text)
    found = _launches(commands, None, read_file, 0)
    if not found:
        programs = [shown(command.words[0]) for command in commands]
        read = f"; it runs {', '.join(programs)}" if programs else ""
        raise UsageError(
            "the command starts no engine that is known: write vllm serve MODEL, sglang serve, "
            "python -m vllm.entrypoints.openai.api_server, python -m sglang.launch_server, or "
            f"docker run with an image of one of them{read}"
        )
    if len(found) > 1 and not all(any(map(_RANK.fullmatch, one.words)) for one in found):
        raise UsageError(
            f"the text starts {len(found)} engines; give the command of one. Several engines of "
            "one model are replicas, or backends, of a ModelBooster"
        )
    launch = found[0]
    for command in commands:
        for word in command.words:
            for name, release in _PINNED.findall(word):
                if name == launch.engine:
                    launch.release = release
    return launch


def _launches(
    commands: list[Command],
    inside: Container | None,
    read_file: Callable[[str], str],
    depth: int,
) -> list[Launch]:
    """Returns the engines that some commands start, inside of a container or not."""
    found = []
    for command in commands:
        container = container_of(command)
        if container is None:
            launch = _launch(command, inside, read_file, depth)
        else:
            for name in container.variable_files:
                if not is_known(name):
                    raise UsageError(f"--env-file: the value of {unknown_in(name)} is not known")
                more = read_variable_file(read_file(name))
                container.variables = {**more, **container.variables}
            launch = _launch_in(container, read_file, depth)
            if launch is None:
                # docker run -it IMAGE bash; what follows is typed inside.
                inside = container
        if launch is not None:
            found.append(launch)
    return found


def _launch_in(container: Container, read_file: Callable[[str], str], depth: int) -> Launch | None:
    """Returns the engine that a container starts; None if it starts something else."""
    entry = container.last("entrypoint")
    words = [*([entry] if entry else []), *container.words]
    given = {name: text for name, text in container.variables.items() if text is not None}
    launch = _launch(Command(words, given), container, read_file, depth)
    if launch is not None or entry:
        return launch
    if container.words[:1] == ["serve"]:
        words = container.words[1:]
    first = words[0] if words else ""
    if not _ENGINE_IMAGE.search(_repository(container.image)):
        return None
    if first.startswith("-") or ("/" in first.strip("/") and not first.startswith("/")):
        return Launch("vllm", words, dict(container.variables), container)
    return None


def _repository(image: str) -> str:
    last = written(image).partition("@")[0].rpartition("/")[2]
    return last.partition(":")[0]


def _launch(
    command: Command,
    container: Container | None,
    read_file: Callable[[str], str],
    depth: int,
) -> Launch | None:
    """Returns the engine that a simple command starts, whatever stands before it."""
    words = command.words
    variables: dict[str, str | None] = dict(container.variables) if container else {}
    variables |= command.environment
    left_out: list[str] = []
    for at, word in enumerate(words):
        base = word.rpartition("/")[2]
        engine, used = _engine_at(words, at)
        if engine:
            container = container or _apptainer(words[:at])
            return Launch(engine, words[at + used :], variables, container, "", left_out)
        if base in _SHELLS and depth < _MAX_DEPTH:
            script = _script(words[at + 1 :])
            if script is not None:
                known = {name: text for name, text in variables.items() if text is not None}
                inner = read_commands(written(script), known)
                nested = _launches(inner, container, read_file, depth + 1)
                for launch in nested:
                    launch.variables = {**variables, **launch.variables}
                    launch.left_out = left_out + launch.left_out
                return nested[0] if nested else None
        if match := _ASSIGNMENT.fullmatch(word):
            variables[match[1]] = match[2]
        elif not left_out and _is_program(words, at) and base not in _HARMLESS:
            left_out.append(word)
    return None


def _is_program(words: list[str], at: int) -> bool:
    """Returns whether a word may name a program around the engine: no option, and no value."""
    word = words[at]
    after_option = at > 0 and words[at - 1].startswith("-")
    return not (word.startswith("-") or after_option or "://" in word) and is_known(word)


def _apptainer(words: list[str]) -> Container | None:
    """Returns the container of ``apptainer exec docker://IMAGE``; None if there is none."""
    for word in words:
        if word.startswith("docker://"):
            return Container("apptainer", word.removeprefix("docker://"), [])
    return None


def _script(words: list[str]) -> str | None:
    """Returns the text that a shell runs with ``-c``; None if it runs something else."""
    for at, word in enumerate(words[:-1]):
        if not word.startswith("-"):
            return None
        if not word.startswith("--") and word.endswith("c"):
            return words[at + 1]
    return None


def _engine_at(words: list[str], at: int) -> tuple[str, int]:
    """Returns the engine that begins at a word, and how many words name it; ``""`` if none does."""
    word = words[at]
    following = words[at + 1] if at + 1 < len(words) else ""
    base = word.rpartition("/")[2]
    if base in _PROGRAMS and following == "serve":
        return base, 2
    if word == "-m" and following in _MODULES:
        return _MODULES[following], 2
    if word == "-m" and following == "vllm.entrypoints.cli.main":
        return ("vllm", 3) if words[at + 2 : at + 3] == ["serve"] else ("", 0)
    module = word.removesuffix(".py").replace("/", ".")
    if word.endswith(".py"):
        for name, engine in _MODULES.items():
            if module == name or module.endswith(f".{name}"):
                return engine, 1
    return "", 0


def known_variables(variables: Mapping[str, str | None]) -> dict[str, str]:
    """Returns the variables whose values the text tells."""
    return {name: text for name, text in variables.items() if text is not None and is_known(text)}
