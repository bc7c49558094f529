"""Who may import whom, and that everybody keeps to it.

The tables are read top down by whoever wants to know the shape of the program. To change a rule,
change it here, in a commit of its own that says why. An import counts wherever it stands: in a
function and under TYPE_CHECKING too, for a reader has to follow those as well.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARTS = ("app", "webhook", "controller", "certs")


@dataclass(frozen=True)
class Layer:
    """What a part may import, besides itself and the standard library.

    Args:
        ours: parts of this program; all of what lies below a name.
        others: installed packages.
    """

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


MEANING = ("app.apis", "app.convert", "app.validation", "app.defaults", "app.lookup", "app.errors")
"""What a ModelBooster means, for all who need to know."""

LAYERS = {
    # A fault is part of the error that carries it; for the type checker only.
    "app.errors": Layer(ours=("app.apis.fields",)),
    # orjson: the revision of a child is a hash of its spec, and is made at every pass and review.
    # typing_extensions: the TypedDict that pydantic can read.
    "app.apis": Layer(others=("pydantic", "orjson", "typing_extensions")),
    "app.convert": Layer(ours=("app.apis",)),
    "app.lookup": Layer(ours=("app.apis",)),
    # re2: users' patterns are checked by the engine that the router runs, in linear time.
    "app.validation": Layer(
        ours=("app.apis", "app.convert", "app.errors", "app.lookup"), others=("pydantic", "re2")
    ),
    "app.defaults": Layer(ours=("app.apis", "app.convert", "app.errors"), others=("pydantic",)),
    "app.kube": Layer(
        ours=("app.apis", "app.errors"),
        others=("kubernetes_asyncio", "aiohttp", "httptools", "orjson"),
    ),
    # The options of a conversion are settings; their defaults stand where they are used.
    "app.settings": Layer(
        ours=("app.errors", "app.apis", "app.convert"), others=("pydantic", "pydantic_settings")
    ),
    "app.log": Layer(ours=("app.errors",), others=("orjson",)),
    "app.metrics": Layer(others=("prometheus_client",)),
    "app.probes": Layer(ours=("app.metrics",), others=("starlette", "prometheus_client")),
    # Files and YAML are the command line's.
    "app.dialect": Layer(ours=("app.apis", "app.errors"), others=("yaml", "orjson")),
    "app.documents": Layer(ours=("app.apis", "app.errors", "app.dialect")),
    "app.offline": Layer(ours=(*MEANING, "app.documents")),
    "app.preview": Layer(ours=(*MEANING, "app.offline")),
    # The joints: they put the parts together, each in a process of its own or all in one.
    "app.parts": Layer(ours=PARTS, others=("starlette", "uvicorn")),
    "app.main": Layer(ours=PARTS, others=("uvloop",)),
    "app.__main__": Layer(ours=PARTS, others=("click",)),
    # prometheus_client: the type of the counters that app.metrics hands out.
    "webhook": Layer(
        ours=(*MEANING, "app.metrics"),
        others=("fastapi", "uvicorn", "httptools", "pydantic", "orjson", "prometheus_client"),
    ),
    # Every line of a pass says what it is about.
    "controller": Layer(ours=(*MEANING, "app.kube", "app.metrics", "app.log")),
    "certs": Layer(ours=("app.apis", "app.kube", "app.errors"), others=("cryptography",)),
}

PURE = (
    "app.apis",
    "app.convert",
    "app.validation",
    "app.defaults",
    "app.lookup",
    "app.dialect",
    "webhook.review",
    "controller.lease",
    "controller.comparison",
    "controller.contest",
    "controller.failure",
    "controller.finding",
    "controller.intent",
    "controller.memory",
    "controller.outcome",
    "controller.plan",
    "controller.pods",
    "controller.readiness",
    "controller.rivals",
    "controller.rollout",
    "controller.status",
    "controller.store",
    "controller.takeover",
    "controller.trouble",
    "controller.turns",
    "controller.view",
    "controller.waves",
    "controller.turns",
    "certs.objects",
    "certs.pki",
    "certs.policy",
)
"""What computes values from values: it neither waits, nor logs, nor asks for the time."""

IMPURE = frozenset({"asyncio", "logging", "os", "time", "random", "ssl", "socket"})


def faults(root: Path, pattern: str = "*.py") -> list[str]:
    """Returns every import below ``root`` that breaks a rule, in the files that match."""
    return sorted(
        fault
        for part in PARTS
        for path in (root / part).rglob(pattern)
        for fault in _faults_of(path, root)
    )


def _faults_of(path: Path, root: Path) -> Iterator[str]:
    module = _module(path, root)
    layer_name = _longest(module, LAYERS)
    tree = ast.parse(path.read_text())
    if layer_name is None:
        # Packages themselves (app/__init__.py) are empty.
        if path.name != "__init__.py" or tree.body:
            yield f"{module} stands in no layer"
        return
    layer = LAYERS[layer_name]
    pure = _longest(module, PURE) is not None
    for line, imported in _imports(tree, module, path.name == "__init__.py", root):
        top = imported.partition(".")[0]
        if top in PARTS:
            if _longest(imported, (layer_name, *layer.ours)) is None:
                yield f"{module}:{line} imports {imported}, which {layer_name} may not"
        elif top in sys.stdlib_module_names:
            if pure and top in IMPURE:
                yield f"{module}:{line} imports {imported}, which a pure module may not"
            if top == "importlib" and imported != "importlib.metadata":
                yield f"{module}:{line} imports {imported}, which hides what it imports"
        elif top not in layer.others:
            yield f"{module}:{line} imports {imported}, which {layer_name} may not"


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _longest(module: str, names: tuple[str, ...] | dict[str, Layer]) -> str | None:
    """Returns the longest of the names that the module is, or lies below."""
    holding = [name for name in names if module == name or module.startswith(name + ".")]
    return max(holding, key=len, default=None)


def _imports(
    tree: ast.Module, module: str, is_package: bool, root: Path
) -> Iterator[tuple[int, str]]:
    """Yields line and full name of every module that is imported, wherever it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                keep = len(parents) - node.level + is_package
                base = ".".join([*parents[:keep], *([base] if base else [])])
            for name in node.names:
                inner = f"{base}.{name.name}"
                yield node.lineno, inner if _is_module(root, inner) else base
        elif isinstance(node, ast.Name) and node.id == "__import__":
            yield node.lineno, "importlib"


def _is_module(root: Path, name: str) -> bool:
    path = root / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def test_everybody_keeps_to_the_layers() -> None:
    assert faults(ROOT) == []


def test_the_tables_name_what_exists() -> None:
    named = {*LAYERS, *PURE, *(name for layer in LAYERS.values() for name in layer.ours)}
    assert [name for name in sorted(named) if not _is_module(ROOT, name)] == []


@pytest.mark.parametrize(
    ("file", "line", "want"),
    [
        pytest.param(
            "app/apis/meta.py",
            "from app.kube import Kube",
            "app.apis.meta:{} imports app.kube, which app.apis may not",
            id="upwards",
        ),
        pytest.param(
            "controller/store.py",
            "def later() -> None:\n    import webhook.review",
            "controller.store:{} imports webhook.review, which controller may not",
            id="a neighbour, in a function",
        ),
        pytest.param(
            "webhook/review.py",
            "if TYPE_CHECKING:\n    from app import kube",
            "webhook.review:{} imports app.kube, which webhook may not",
            id="for the type checker only, by way of the package",
        ),
        pytest.param(
            "controller/plan.py",
            "from ..certs import pki",
            "controller.plan:{} imports certs.pki, which controller may not",
            id="relative",
        ),
        pytest.param(
            "controller/plan.py",
            "import aiohttp",
            "controller.plan:{} imports aiohttp, which controller may not",
            id="a package that is another's",
        ),
        pytest.param(
            "app/apis/derive.py",
            "from time import monotonic",
            "app.apis.derive:{} imports time, which a pure module may not",
            id="a clock in a pure module",
        ),
        pytest.param(
            "certs/pki.py",
            "import os.path",
            "certs.pki:{} imports os.path, which a pure module may not",
            id="files in a pure module",
        ),
        pytest.param(
            "certs/rotator.py",
            "import importlib",
            "certs.rotator:{} imports importlib, which hides what it imports",
            id="by name at run time",
        ),
        pytest.param(
            "app/helpers.py", "x = 1", "app.helpers stands in no layer", id="a part of no layer"
        ),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, want: str) -> None:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / file
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}{line}\n")
    at = len(path.read_text().splitlines())

    assert faults(tmp_path, path.name) == [want.format(at)]
