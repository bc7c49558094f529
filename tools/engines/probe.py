"""Prints the argument parser of an engine as JSON. Runs inside the engine's own environment.

Usage: ``python probe.py vllm|sglang [CASES [serve]]``. With CASES, a JSON file of flags and command
lines, it prints what the parser reads for each flag instead; with ``serve``, the parser of
``vllm serve`` reads them. It needs neither a GPU nor a model: compiled
modules that cannot be loaded are replaced by empty ones, and the program ends when it would read
its arguments. It imports nothing of this repository.
"""

from __future__ import annotations

import argparse
import enum
import importlib.abc
import importlib.machinery
import importlib.metadata
import json
import os
import runpy
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

PROGRAMS = {"vllm": "vllm.entrypoints.openai.api_server", "sglang": "sglang.launch_server"}
COMPILED = {
    "vllm": ("vllm._C", "vllm._moe_C", "vllm._flashmla_C", "vllm._rocm_C", "vllm.cumem_allocator"),
    "sglang": ("sgl_kernel",),
}

BESIDE_SERVE = (
    "vllm.entrypoints.cli.benchmark",
    "vllm.entrypoints.cli.preload",
    "vllm.vllm_flash_attn",
)
"""What ``vllm serve`` imports for other purposes than its parser, and what needs a GPU for it."""

CUDA = "vllm.platforms.cuda.NonNvmlCudaPlatform"


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives empty modules for compiled ones."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Any, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns a module without content if the name is one of ours."""
        own = any(fullname == name or fullname.startswith(f"{name}.") for name in self._names)
        compiled = fullname.startswith("vllm.") and fullname.rpartition(".")[2].startswith("_C")
        if not (own or compiled):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Returns a module in which every name is a function that returns nothing, ``()``."""
        module = types.ModuleType(spec.name)
        module.__dict__["__getattr__"] = _nothing
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        """Leaves the module as it is."""


def _nothing(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *args, **named: ()


class Found(BaseException):
    """Carries the parser out of the engine, past its ``except Exception``."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def _stop(self: argparse.ArgumentParser, *args: Any, **named: Any) -> NoReturn:
    raise Found(self)


def parser_of(engine: str, *, serve: bool = False) -> argparse.ArgumentParser:
    """Starts an engine's server and returns the parser that would read its arguments.

    Args:
        engine: ``vllm`` or ``sglang``.
        serve: whether vLLM is started as ``vllm serve``.
    """
    sys.meta_path.insert(0, _Empty(COMPILED[engine] + (BESIDE_SERVE if serve else ())))
    original = argparse.ArgumentParser.parse_known_args
    argparse.ArgumentParser.parse_known_args = _stop  # type: ignore[method-assign]
    try:
        if engine == "sglang":
            sys.argv = ["sglang", "--model-path", "none"]
            from sglang.srt.server_args import (  # type: ignore[import-not-found]
                prepare_server_args,
            )

            prepare_server_args(sys.argv[1:])
        else:
            import vllm.platforms  # type: ignore[import-not-found]

            # As on a node with GPUs of NVIDIA, which most images are for.
            vllm.platforms.resolve_current_platform_cls_qualname = lambda: CUDA
            if serve:
                import torch  # type: ignore[import-not-found]

                # Its imports ask for the GPU's age, which the other server's do not.
                torch.cuda.get_device_capability = lambda device=None: (9, 0)
            program = "vllm.entrypoints.cli.main" if serve else PROGRAMS[engine]
            sys.argv = ["vllm", "serve", "none"] if serve else [program]
            runpy.run_module(program, run_name="__main__")
    except Found as found:
        return found.parser
    finally:
        argparse.ArgumentParser.parse_known_args = original  # type: ignore[method-assign]
    raise SystemExit("the server ended without reading its arguments")


def described(engine: str, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Returns every flag of a parser as plain JSON."""
    names: dict[int, list[str]] = {}
    for name, action in parser._option_string_actions.items():
        names.setdefault(id(action), []).append(name)
    deprecated = getattr(parser, "_deprecated", ())
    flags = [
        {
            # As the engine lists them, and then those that it accepts without listing them.
            "names": list(dict.fromkeys([*action.option_strings, *names[id(action)]])),
            "action": type(action).__name__.strip("_"),
            "type": _type(action.type),
            "nargs": action.nargs,
            "choices": _choices(action.choices),
            "pairs": _reads_pairs(action.type),
            "deprecated": action in deprecated
            or bool(getattr(action, "deprecated", False))
            or type(action).__name__.startswith("Deprecated")
            or "deprecated" in (action.help or "").lower(),
        }
        for action in parser._actions
        if action.option_strings
    ]
    release = importlib.metadata.version(engine)
    return {"engine": engine, "release": release, "flags": flags}


def _choices(found: Any) -> list[str]:
    """Returns choices in the engine's order; those of a set, which has none, sorted.

    The text ``None`` is left out: it is listed, but refused. None itself is accepted.
    """
    texts = [str(choice) for choice in found or () if choice != "None"]
    return sorted(texts) if isinstance(found, (set, frozenset)) else texts


def _reads_pairs(kind: Any) -> bool:
    """Whether a reader of JSON takes ``key=value`` as well, as those of old releases do."""
    try:
        return callable(kind) and isinstance(kind("image=2"), dict)
    except Exception:
        return False


def _type(kind: Any) -> str:
    """Returns the name of what reads a value; ``optional`` says that ``None`` means no value."""
    if kind is None:
        return ""
    name = getattr(kind, "__qualname__", type(kind).__name__)
    inner = getattr(kind, "__closure__", None)
    if name.startswith("optional_type") and inner:
        return f"optional {_type(inner[0].cell_contents)}"
    return str(name)


def read_all(
    engine: str, parser: argparse.ArgumentParser, cases: list[tuple[str, list[str]]]
) -> list[dict[str, Any]]:
    """Returns what the parser reads: ``value`` and ``default`` of the flag, or ``refused``."""
    found: list[dict[str, Any]] = []
    for flag, words in cases:
        action = parser._option_string_actions[f"--{flag}"]
        needed = ["--model-path", "none"] if engine == "sglang" and flag != "model-path" else []
        try:
            read = parser.parse_args([*needed, *words])
        except (Exception, SystemExit) as exc:
            found.append({"refused": repr(exc)})
            continue
        if getattr(read, "model_tag", None) is not None:
            found.append({"refused": "a word became the model"})
            continue
        value = _plain(getattr(read, action.dest, None))
        found.append({"value": value, "default": _plain(action.default)})
    return found


def read_lines(
    parser: argparse.ArgumentParser, lines: list[tuple[list[str], list[str]]]
) -> list[dict[str, Any]]:
    """Returns what the parser reads of whole command lines: the values of some flags of each.

    Args:
        parser: the parser of the program that the command lines start.
        lines: the arguments of the program, and the flags that are asked about.

    Returns:
        The values by flag and ``model``, or ``refused`` with the reason.
    """
    flags = parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            flags = action.choices["serve"]
    found: list[dict[str, Any]] = []
    for words, names in lines:
        try:
            read = parser.parse_args(words)
            _check(read)
        except (Exception, SystemExit) as exc:
            found.append({"refused": f"{exc!r} {exc.__context__!r}"})
            continue
        values = {}
        for name in names:
            known = flags._option_string_actions.get(f"--{name}")
            values[name] = _deep(getattr(read, known.dest)) if known else "no such flag"
        tag = getattr(read, "model_tag", None)
        own = getattr(read, "model_path", None) or read.model
        values["model"] = tag if words[0] == "serve" else own if tag is None else [own, tag]
        found.append(values)
    return found


def _check(read: argparse.Namespace) -> None:
    """Checks arguments together, as vLLM does before it starts."""
    try:
        from vllm.entrypoints.openai.cli_args import (  # type: ignore[import-not-found]
            validate_parsed_serve_args,
        )
    except ImportError:
        return
    read.subparser = "serve"
    validate_parsed_serve_args(read)


def _deep(value: Any) -> Any:
    """Returns a value as JSON, with the fields of the objects in it."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (list, tuple)):
        return [_deep(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _deep(one) for key, one in value.items()}
    if isinstance(value, (str, int, float, type(None))):
        return value
    fields = getattr(value, "__dict__", None) or {
        name: getattr(value, name, None) for name in getattr(value, "__slots__", ())
    }
    return {key: _deep(one) for key, one in fields.items()} if fields else repr(value)


def _plain(value: Any) -> Any:
    """Returns a value as JSON; of adapters their names and paths."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if hasattr(value, "name") and hasattr(value, "path"):
        return {"name": value.name, "path": value.path}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


if __name__ == "__main__":
    # The server writes to the standard output; the answer goes where that went before.
    out = os.dup(1)
    os.dup2(2, 1)
    name = sys.argv[1]
    asked = json.loads(Path(sys.argv[2]).read_text()) if len(sys.argv) > 2 else None
    program = sys.argv[3] if len(sys.argv) > 3 else ""
    parser = parser_of(name, serve=program == "serve")
    if program:
        answer: Any = read_lines(parser, asked or [])
    else:
        answer = described(name, parser) if asked is None else read_all(name, parser, asked)
    with os.fdopen(out, "w") as stream:
        json.dump(answer, stream)
    os._exit(0)
