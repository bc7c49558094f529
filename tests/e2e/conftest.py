"""A control plane of its own, with the chart installed: webhooks hold for the whole cluster."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.conftest import PROFILE, Kubectl, Ran
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import Installation

LOG_BYTES = 20_000
"""How much of the end of the pods' logs is shown with a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the pods of a test that failed have written."""
    report = yield
    installed = getattr(item, "funcargs", {}).get("installation")
    if report.failed and isinstance(installed, Installation):
        report.sections.append(("logs of the pods", installed.kubelet.logs()[-LOG_BYTES:]))
    return report


@pytest.fixture(scope="session")
def lasting_installation(request: pytest.FixtureRequest) -> Iterator[Installation]:
    """kthena's CRDs and our chart, installed once for all files of a process."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        plane = ControlPlane()
    with plane:
        crds.install(plane.api, crds.children(PROFILE))
        plane.start_controllers()
        with Installation(plane, plane.folder / "pods") as installed:
            yield installed


@pytest.fixture(scope="module")
def installation(lasting_installation: Installation) -> Iterator[Installation]:
    """The installation; its pods run.

    The kubelet looks at them ten times a second, which takes a tenth of a core of this machine.
    The process of the tests goes on with other files, so it rests after each file of these.
    """
    lasting_installation.kubelet.wake()
    yield lasting_installation
    lasting_installation.kubelet.rest()


@pytest.fixture(scope="module")
def plane(installation: Installation) -> ControlPlane:
    """The control plane that the chart is installed on."""
    return installation.plane


@pytest.fixture(scope="session")
def kubectl_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where kubectl keeps what it has learnt of the server; asking anew takes longer."""
    return tmp_path_factory.mktemp("kubectl")


@pytest.fixture
def kubectl(kubectl: Kubectl, kubectl_cache: Path) -> Kubectl:
    """The real kubectl, which remembers from test to test what kinds there are."""

    def run(*args: str, stdin: str | None = None) -> Ran:
        return kubectl("--cache-dir", str(kubectl_cache), *args, stdin=stdin)

    return run
