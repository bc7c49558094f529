"""The structure of the source tree: who may import whom, no cycles, no crowded folders.

Read the tables top down to see the shape of the program. To change a rule, change it here, in a
commit of its own that says why. An import counts wherever it is written, in a function and under
TYPE_CHECKING too, because a reader has to follow those as well.
"""

from __future__ import annotations

import ast
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPERATOR = ("app", "webhook", "controller", "certs", "modelbooster")
"""The parts of the operator."""

PARTS = (*OPERATOR, "downloader")

MAX_FILES = 14
"""Source files in one folder; a reader should see all of them at a glance."""

MAX_LINES = 250
"""Lines of one source file."""


@dataclass(frozen=True)
class Layer:
    """What a part may import, besides itself and the standard library.

    Args:
        ours: parts of this program, each with everything below that name.
        others: installed packages.
    """

    ours: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


VOCABULARY = ("app.values", "app.errors", "app.apis")
"""Kubernetes' vocabulary, our errors, and the API with its kinds."""

MEANING = (
    *VOCABULARY,
    "app.engines",
    "app.model",
    "app.convert",
    "app.validation",
    "app.defaults",
    "app.lookup",
)
"""What a ModelBooster means."""

# From the ground floor up.
LAYERS = {
    "app.values": Layer(),
    # An error carries the field that is at fault, and the reason that the conditions report.
    "app.errors": Layer(ours=("app.values", "app.apis.reasons")),
    # typing_extensions: the TypedDict that pydantic can read on Python 3.11.
    "app.apis": Layer(ours=("app.values",), others=("pydantic", "typing_extensions")),
    # What the engines themselves accept; it knows nothing of ModelBoosters. Its types are values,
    # because commands wait for each frozen dataclass.
    "app.engines": Layer(ours=("app.values",)),
    # The catalogue: models as data, the memory that they need, and ModelBoosters made of templates.
    # yaml: its files, read by ``make generate`` and by the tests; the program reads their index.
    "app.catalog": Layer(ours=(*VOCABULARY, "app.engines"), others=("pydantic", "yaml")),
    # orjson: the revision of a child is a hash of its spec, computed in every pass and review.
    "app.model": Layer(ours=(*VOCABULARY, "app.engines"), others=("orjson",)),
    "app.convert": Layer(ours=(*VOCABULARY, "app.engines", "app.model")),
    "app.lookup": Layer(ours=(*VOCABULARY, "app.model")),
    # re2: users' patterns are checked by the engine that the router runs, in linear time.
    "app.validation": Layer(
        ours=(
            *(*VOCABULARY, "app.engines", "app.model", "app.convert", "app.lookup"),
            "app.catalog",  # the memory that known models need
        ),
        others=("pydantic", "re2"),
    ),
    "app.defaults": Layer(ours=(*VOCABULARY, "app.model")),
    "app.version": Layer(),
    # The version is part of the user agent.
    "app.kube": Layer(
        ours=(*VOCABULARY, "app.version"),
        others=("kubernetes_asyncio", "httptools", "orjson"),
    ),
    # It is imported by a process that has an HTTP proxy; aiohttp takes a quarter of the start.
    "app.kube.connections.proxied": Layer(ours=("app.kube",), others=("aiohttp",)),
    "app.cache": Layer(ours=(*VOCABULARY, "app.kube"), others=("orjson",)),
    "app.installed": Layer(ours=(*VOCABULARY, "app.kube", "app.cache")),
    # Both processes ask whether the installed ModelBooster schema is ours.
    "app.schema_monitor": Layer(ours=(*VOCABULARY, "app.kube", "app.cache", "app.installed")),
    "app.log": Layer(ours=("app.errors",), others=("orjson",)),
    "app.metrics": Layer(others=("prometheus_client",)),
    # Three edges; none knows another.
    # httptools: uvicorn's protocol has no time limits for a header or a body.
    # prometheus_client: the type of the counters that app.metrics hands out.
    "webhook": Layer(
        ours=(*MEANING, "app.metrics"),
        others=("httptools", "orjson", "prometheus_client"),
    ),
    # pydantic: FastAPI's own types are told not to build their validators.
    "webhook.router": Layer(others=("fastapi", "pydantic")),
    "certs": Layer(
        ours=("app.values", "app.errors", "app.kube", "app.cache"), others=("cryptography",)
    ),
    "controller": Layer(
        ours=(
            *MEANING,
            "app.kube",
            "app.cache",
            "app.installed",
            "app.schema_monitor",
            "app.metrics",
            "app.log",
        )
    ),
    # The roof: settings, the command line, and the processes put together from their parts.
    # The defaults of conversion options are written where conversion reads them.
    # Which lease times are safe, and the damping of the route, are in controller.timing.
    "modelbooster.setting_types": Layer(ours=("app.apis", "app.values"), others=("pydantic",)),
    "modelbooster.settings": Layer(
        ours=(
            *(*VOCABULARY, "app.model", "app.convert", "controller.timing"),
            "modelbooster.setting_types",
        ),
        others=("pydantic",),
    ),
    "modelbooster.probes": Layer(
        ours=("app.metrics", "app.values", "webhook.reply", "webhook.request"),
        others=("prometheus_client",),
    ),
    # Files and YAML belong to the command line.
    # Which pods wait for a rollout is decided in one place, for the controller and for files.
    "modelbooster.offline": Layer(ours=(*MEANING, "controller.plan"), others=("yaml", "orjson")),
    # What looks at a cluster for the command line: yaml reads kubeconfigs.
    # What the controller says of pods and plans is decided in one place.
    "modelbooster.observe": Layer(
        ours=(
            *(*MEANING, "app.kube", "app.installed", "controller.plan", "controller.status"),
            *("modelbooster.offline",),
        ),
        others=("yaml", "orjson"),
    ),
    # What is wrong with an installation: certificates and Leases are judged as their owners do.
    "modelbooster.checkup": Layer(
        ours=(
            *(*MEANING, "app.kube", "app.cache", "app.installed", "certs"),
            "controller.election.lease",
        )
    ),
    # A page for people without a terminal; its connections are limited as those of the webhook.
    "modelbooster.dashboard": Layer(
        ours=(*MEANING, "modelbooster.observe", "modelbooster.parts.http", "webhook"),
        others=("starlette", "orjson"),
    ),
    # Commands that start engines, read as data.
    "modelbooster.commandline": Layer(
        ours=("app.values", "app.errors", "app.apis", "app.engines", "app.model")
    ),
    # ModelBoosters made of templates, and put into a cluster.
    "modelbooster.authoring": Layer(
        ours=("app.values", "app.errors", "app.apis", "app.engines", "app.catalog", "app.kube")
    ),
    # The parent of the webhook's process; its memory counts in every pod.
    "modelbooster.supervise": Layer(),
    "modelbooster.parts": Layer(ours=OPERATOR),
    "modelbooster.process": Layer(ours=OPERATOR, others=("uvloop",)),
    "modelbooster.cli": Layer(ours=OPERATOR, others=("click",)),
    # It starts the programs; the downloader is one of them.
    "modelbooster.cli.entry": Layer(
        ours=("modelbooster.cli", "modelbooster.supervise", "downloader.main")
    ),
    "modelbooster.__main__": Layer(ours=("modelbooster.cli",)),
    # A program of its own, in an image of its own; it shares no code with the operator, so that
    # neither image needs the packages of the other.
    # urllib3: parts of files over connections that stay open.
    "downloader": Layer(others=("urllib3",)),
    # The clients of the sources list files and explain refusals.
    "downloader.sources": Layer(
        ours=(
            *("downloader.errors", "downloader.paths", "downloader.settings"),
            *("downloader.http_client", "downloader.tls"),
        ),
        others=("boto3", "botocore", "huggingface_hub", "modelscope_hub"),
    ),
    # The old name of the command line, kept for one release; it imports nothing of ours.
    "app.__main__": Layer(),
}

PURE = (
    "app.values",
    "app.apis",
    "app.engines",
    "app.model",
    "app.convert",
    "app.validation",
    "app.defaults",
    "app.lookup",
    "app.cache.store",
    "webhook.review",
    "controller.plan",
    "controller.reconcile.booster_state",
    "controller.reconcile.conflict_state",
    "controller.reconcile.failure",
    "controller.reconcile.next_pass",
    "controller.reconcile.phases",
    "controller.reconcile.plan_result",
    "controller.reconcile.summary",
    "controller.election.lease",
    "controller.timing",
    "controller.reconcile.rollout_waves",
    "controller.cluster.model_names",
    "controller.cluster.mutation_cache",
    "controller.queue.delay_queue",
    "controller.queue.fair_queue",
    "controller.queue.result",
    "controller.status",
    "certs.objects",
    "certs.pki",
    "certs.policy",
    "modelbooster.commandline",
    "modelbooster.observe.backends",
    "modelbooster.observe.columns",
    "modelbooster.observe.explanation",
    "modelbooster.observe.kinds",
    "modelbooster.observe.tree",
    "modelbooster.observe.verdict",
    "modelbooster.observe.pods.crashes",
    "modelbooster.observe.pods.downloads",
    "modelbooster.observe.pods.findings",
    "modelbooster.observe.pods.images",
    "modelbooster.observe.pods.scheduling",
    "modelbooster.offline.dialect",
    "modelbooster.checkup.checks",
    "modelbooster.checkup.report",
    "modelbooster.checkup.table",
    "modelbooster.dashboard.fleet",
    "modelbooster.offline.scalars",
    "modelbooster.offline.yaml_reader",
)
"""Modules that compute values from values: they do not wait, log or ask for the time."""

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
    text = path.read_text()
    if layer_name is None:
        # Packages themselves (app/__init__.py) are empty.
        if path.name != "__init__.py" or ast.parse(text).body:
            yield f"{module} is in no layer"
        return
    layer = LAYERS[layer_name]
    pure = _longest(module, PURE) is not None
    for line, imported in _imports(text, module, path.name == "__init__.py", root):
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


@cache
def _import_nodes(text: str) -> list[ast.Import | ast.ImportFrom | ast.Name]:
    """Returns the import statements of a file, and every call of ``__import__``."""
    tree = ast.parse(text)
    names: list[ast.Import | ast.ImportFrom | ast.Name] = []
    if "__import__" in text:
        found = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
        names = [node for node in found if node.id == "__import__"]
    return [*_import_statements(tree), *names]


def _import_statements(parent: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yields the imports in a statement, without a look at expressions, which have none."""
    if isinstance(parent, ast.Import | ast.ImportFrom):
        yield parent
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        children = getattr(parent, field, ())
        for child in children if isinstance(children, list) else ():
            yield from _import_statements(child)


def _module(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _longest(module: str, names: tuple[str, ...] | dict[str, Layer]) -> str | None:
    """Returns the longest of the names that the module is, or lies below."""
    holding = [name for name in names if module == name or module.startswith(name + ".")]
    return max(holding, key=len, default=None)


def _imports(text: str, module: str, is_package: bool, root: Path) -> Iterator[tuple[int, str]]:
    """Yields line and full name of every module that is imported, wherever it is."""
    for node in _import_nodes(text):
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
        else:
            yield node.lineno, "importlib"


@cache
def _is_module(root: Path, name: str) -> bool:
    path = root / Path(*name.split("."))
    return path.with_suffix(".py").is_file() or path.is_dir()


def cycles(root: Path) -> list[str]:
    """Returns, for each folder below ``root``, an import cycle among the things in it, if any.

    The things in a folder are its files and its subfolders, each subfolder as one.
    """
    imported: dict[str, set[str]] = defaultdict(set)
    folders = {""}
    for part in PARTS:
        for path in (root / part).rglob("*.py"):
            module, is_package = _module(path, root), path.name == "__init__.py"
            if is_package:
                folders.add(module)
            for _, name in _imports(path.read_text(), module, is_package, root):
                if name.partition(".")[0] in PARTS:
                    imported[module].add(name)
    found = []
    for folder in sorted(folders):
        graph: dict[str, set[str]] = defaultdict(set)
        for module, names in imported.items():
            if (one := _inside(folder, module)) is not None:
                inner = {_inside(folder, name) for name in names} - {None, one}
                graph[one].update(name for name in inner if name is not None)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as exc:
            found.append(f"{folder or 'top level'}: {' -> '.join(exc.args[1])}")
    return found


def _inside(folder: str, module: str) -> str | None:
    """Returns the file or subfolder of a folder that a module is, or is in; None if in neither."""
    if not folder:
        return module.partition(".")[0]
    if module == folder:
        return "__init__"
    inner = module.removeprefix(f"{folder}.")
    return None if inner == module else inner.partition(".")[0]


def crowded(root: Path) -> list[str]:
    """Returns the folders with too many source files, and the files with too many lines."""
    found = []
    for part in PARTS:
        files = sorted((root / part).rglob("*.py"))
        for folder in sorted({path.parent for path in files}):
            count = sum(1 for path in files if path.parent == folder and path.stat().st_size)
            if count > MAX_FILES:
                found.append(f"{folder.relative_to(root)} has {count} files")
        for path in files:
            lines = len(path.read_text().splitlines())
            if lines > MAX_LINES:
                found.append(f"{path.relative_to(root)} has {lines} lines")
    return found


def test_imports_keep_to_the_layers() -> None:
    assert faults(ROOT) == []


def test_no_folder_has_an_import_cycle() -> None:
    assert cycles(ROOT) == []


def test_no_folder_is_crowded_and_no_file_is_long() -> None:
    assert crowded(ROOT) == []


def test_an_import_cycle_between_packages_is_found(tmp_path: Path) -> None:
    for part in PARTS:
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    low = tmp_path / "app/kube/backoff.py"
    low.write_text(low.read_text() + "\nfrom app.cache import store\n")

    (found,) = cycles(tmp_path)
    assert found.startswith("app: ")
    assert {"cache", "kube"} <= set(found.removeprefix("app: ").split(" -> "))


def test_a_crowded_folder_and_a_long_file_are_found(tmp_path: Path) -> None:
    for part in PARTS:
        (tmp_path / part).mkdir()
    for number in range(MAX_FILES + 1):
        (tmp_path / "certs" / f"n{number}.py").write_text("x = 1\n")
    (tmp_path / "webhook/long.py").write_text("x = 1\n" * (MAX_LINES + 1))

    want = [f"webhook/long.py has {MAX_LINES + 1} lines", f"certs has {MAX_FILES + 1} files"]
    assert sorted(crowded(tmp_path)) == sorted(want)


def test_the_tables_name_what_exists() -> None:
    named = {*LAYERS, *PURE, *(name for layer in LAYERS.values() for name in layer.ours)}
    assert [name for name in sorted(named) if not _is_module(ROOT, name)] == []


@pytest.mark.parametrize(
    ("file", "line", "want"),
    [
        pytest.param(
            "app/values/meta.py",
            "from app.kube import Kube",
            "app.values.meta:{} imports app.kube, which app.values may not",
            id="upwards",
        ),
        pytest.param(
            "app/cache/store.py",
            "def later() -> None:\n    import webhook.review",
            "app.cache.store:{} imports webhook.review, which app.cache may not",
            id="a neighbour, in a function",
        ),
        pytest.param(
            "webhook/review.py",
            "if TYPE_CHECKING:\n    from app import kube",
            "webhook.review:{} imports app.kube, which webhook may not",
            id="for the type checker only, by way of the package",
        ),
        pytest.param(
            "controller/plan/planner.py",
            "from ...certs import pki",
            "controller.plan.planner:{} imports certs.pki, which controller may not",
            id="relative",
        ),
        pytest.param(
            "controller/plan/planner.py",
            "import aiohttp",
            "controller.plan.planner:{} imports aiohttp, which controller may not",
            id="a package that is another's",
        ),
        pytest.param(
            "app/model/roles.py",
            "from time import monotonic",
            "app.model.roles:{} imports time, which a pure module may not",
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
            "app/helpers.py", "x = 1", "app.helpers is in no layer", id="a part of no layer"
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
