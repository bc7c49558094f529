"""The command line as a program of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelbooster.offline.dialect import to_json
from tests.builders import booster_object

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "args",
    [["crd"], ["validate"], ["render"], ["create", "--from", "vllm serve a/b"], ["--help"]],
    ids=lambda args: args[0],
)
def test_cluster_modules_are_not_loaded_without_need(args: list[str]) -> None:
    program = (
        "import sys\n"
        "from modelbooster.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *args],
        cwd=ROOT,
        input=to_json(booster_object("m")),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert {"modelbooster.cli.main", "click"} <= loaded
    assert not loaded & {
        "app.kube", "kubernetes_asyncio", "aiohttp", "fastapi", "uvicorn", "cryptography"
    }  # fmt: skip


def test_the_module_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "modelbooster", "validate", "examples/canary.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith('ModelBooster "chat" is valid\n')


def imported(*args: str) -> set[str]:
    """Returns the modules that the program imports, as the interpreter reports them."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelbooster", *args],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_the_list_of_commands_needs_no_library() -> None:
    modules = imported("--help")
    assert "modelbooster.cli.commands" in modules
    assert modules.isdisjoint({"click", "pydantic", "yaml", "app"})


def test_validate_imports_no_slow_module_without_need() -> None:
    modules = imported("validate", "examples/")
    assert {"app.validation.verdict", "app.catalog.memory"} <= modules  # a model is known
    # Each takes 5 to 40 ms. pydantic imports importlib.metadata, and that email, for its plugins.
    slow = {"asyncio", "email.message", "importlib.metadata", "ssl", "subprocess", "zipfile"}
    ours = {"modelbooster.settings", "modelbooster.offline.dialect", "app.kube", "app.log"}
    ours |= {"app.catalog.templates", "app.catalog.parameters", "app.catalog.rendering"}
    assert modules.isdisjoint({*slow, *ours, "pydantic_settings", "kubernetes_asyncio"})
