"""Shared fixtures: one real control plane per test process, one namespace per test."""

from __future__ import annotations

import gc
import os
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from app.values.meta import Resource
from tests import sizes
from tests.controlplane import clients, crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.faults import table as faults
from tests.package_index import UsableIndex, used_by_pip
from tests.proxy import Proxy
from tests.world import PATIENCE_SECONDS, Admin, World

PROFILE = "B"
"""The child profile of the CRDs on the shared control plane."""

LEFT_BEHIND = (
    MODEL_BOOSTER,
    *CHILDREN,
    Resource("", "v1", "pods", "Pod"),
    Resource("", "v1", "services", "Service"),
    Resource("apps", "v1", "deployments", "Deployment"),
    Resource("batch", "v1", "jobs", "Job"),
)
"""Kinds whose objects are deleted after each test."""

NOT_PUBLISHED = ("unexpected end of JSON input", "failed to fetch openapi schema")
"""kubectl's errors for an OpenAPI document that is not built yet, or of a group just removed."""

LONG_IN_FULL = {"test_documents.py", "test_records.py"}
"""Files without slow tests that take long if all values are generated."""

# Tests install many packages and run few of their modules, which Python compiles then. As a
# variable, an option of pip that begins with "no-" is switched on by a value that means false.
os.environ.setdefault("PIP_NO_COMPILE", "0")

sizes.register_profiles()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts files that take long first, so that all processes finish at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path.name not in LONG_IN_FULL and item.path not in slow)


def pytest_collection_finish() -> None:
    """Leaves the collected tests out of garbage collections, which takes a tenth of the time."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every-fault", action="store_true", help="fail unless all tests of every fault passed"
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """With ``--every-fault``, fails the run if a fault of the table is not fully covered."""
    config = session.config
    reporter = config.pluginmanager.getplugin("terminalreporter")
    is_worker = hasattr(config, "workerinput")
    if config.option.every_fault and not is_worker and session.exitstatus == pytest.ExitCode.OK:
        outcomes = faults.results(reporter.stats)
        if any(faults.verdict(name, outcomes) != "passed" for name in faults.FAULTS):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Prints the result of each fault of the table."""
    outcomes = faults.results(terminalreporter.stats)
    if table := faults.lines(outcomes, every=config.option.every_fault):
        terminalreporter.section("faults")
        for line in table:
            terminalreporter.line(line)


def collect_quietly() -> None:
    """Frees garbage without a warning of sockets in it, see ``abandoned_handshakes``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="module", autouse=True)
def no_controllers_of_other_files() -> Iterator[None]:
    """Frees what the controllers of a file leave, 5 MB each.

    A controller excludes all objects from garbage collections when it has synced: in a process of
    its own it does so once. Here it would keep what earlier ones have left.
    """
    before = gc.get_freeze_count()
    yield
    if gc.get_freeze_count() != before:
        gc.unfreeze()
        collect_quietly()
        gc.freeze()


@pytest.fixture(scope="module")
def package_index() -> Iterator[None]:
    """For tests that install packages, see ``UsableIndex``."""
    with UsableIndex() as index, used_by_pip(index):
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """A control plane with garbage collection, the child CRDs of profile B and our own CRD."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    # The first build takes minutes; its progress must be visible.
    with capture.global_and_fixture_disabled():
        new = ControlPlane()
    with new:
        crds.install(new.api, [*crds.children(PROFILE), crds.model_booster()])
        # After the CRDs: the garbage collector discovers kinds at its start, then twice a minute.
        new.start_controllers()
        yield new


@pytest.fixture
def namespace(plane: ControlPlane) -> Iterator[str]:
    """A new namespace. It stays after the test, without what programs act upon.

    To delete a namespace takes the servers 0.17 s of CPU, eight times as much: they look for
    objects of every kind.
    """
    made = plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    name: str = made["metadata"]["name"]
    yield name
    for resource in LEFT_BEHIND:
        with suppress(Refused):  # a test may have removed the kind
            plane.api.request("DELETE", resource.path(name))


@pytest.fixture
def admin(plane: ControlPlane, namespace: str) -> Admin:
    """The administrator in the test's namespace, for tests without an event loop."""
    return Admin(plane.api, namespace)


@pytest.fixture
def world(admin: Admin) -> World:
    """The administrator in the test's namespace, for tests with an event loop."""
    return World(admin)


@pytest.fixture
def kubeconfig(plane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """The administrator's kubeconfig, with the test's namespace as the default."""
    return plane.kubeconfig_for(plane.token, tmp_path / "kubeconfig", namespace)


@pytest.fixture
def proxy(plane: ControlPlane, tmp_path: Path) -> Iterator[Proxy]:
    """A fault-injecting proxy in front of the control plane; see ``proxy.kubeconfig``."""
    with Proxy(plane, tmp_path) as started:
        yield started


@dataclass(frozen=True)
class Ran:
    """Output and exit code of a program."""

    stdout: str
    stderr: str
    code: int


class Kubectl(Protocol):
    def __call__(self, *args: str, stdin: str | None = None) -> Ran: ...


@pytest.fixture
def kubectl(kubeconfig: Path, tmp_path: Path) -> Kubectl:
    """The real kubectl as the administrator, in the test's namespace."""
    program = clients.kubectl()
    environment = {"KUBECONFIG": str(kubeconfig), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}

    def run(*args: str, stdin: str | None = None) -> Ran:
        done = subprocess.run(
            [program, *args],
            input=stdin or "",
            text=True,
            capture_output=True,
            env=environment,
            timeout=100,
            check=False,
        )
        return Ran(done.stdout, done.stderr, done.returncode)

    return run


@pytest.fixture
def explain(kubectl: Kubectl) -> Callable[[str], str]:
    """``kubectl explain`` of a field of ModelBooster, as one line of text.

    The API server rebuilds its OpenAPI documents for some seconds after a CRD change, and earlier
    tests change CRDs. kubectl reports a missing document, of any group, as an error. This tries
    again.
    """

    def run(field: str) -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            said = kubectl("explain", f"modelbooster{field}")
            missing = any(text in said.stderr for text in NOT_PUBLISHED)
            if not missing or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        assert (said.stderr, said.code) == ("", 0)
        return " ".join(said.stdout.split())

    return run
