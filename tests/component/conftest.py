"""Fixtures of several files of component tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.apis.kinds import Profile
from app.kube import Kube, connect
from tests.component.running import running
from tests.conftest import PROFILE, collect_quietly
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.played_pods import PlayedNode, played_node
from tests.world import Admin


@pytest.fixture
def node(admin: Admin, tmp_path: Path) -> Iterator[PlayedNode]:
    """A node that answers requests for the logs of its pods."""
    with played_node(admin, tmp_path) as node:
        yield node


@pytest.fixture
async def kube(plane: ControlPlane) -> AsyncIterator[Kube]:
    """A client with the rights of an administrator, without a proxy."""
    async with connect(str(plane.kubeconfig)) as connected:
        yield connected


@pytest.fixture
async def served(kubeconfig: Path, namespace: str) -> AsyncIterator[None]:
    """A controller that handles the namespace."""
    async with running(kubeconfig, namespace):
        yield


@pytest.fixture(scope="module", autouse=True)
def no_handshakes_of_other_files() -> Iterator[None]:
    """Frees them after each file, see ``abandoned_handshakes``."""
    yield
    collect_quietly()


@pytest.fixture
def abandoned_handshakes() -> Iterator[None]:
    """Frees what asyncio does not close: a connection in a handshake when its server closed."""
    yield
    collect_quietly()


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(Profile.A, marks=pytest.mark.slow),
        Profile.B,
        pytest.param(Profile.C, marks=pytest.mark.slow),
    ],
)
def profiled_plane(request: pytest.FixtureRequest) -> Iterator[tuple[Profile, ControlPlane]]:
    """A control plane with our CRD and the child CRDs of each profile; it may be shared."""
    profile: Profile = request.param
    if profile.value == PROFILE:
        yield profile, request.getfixturevalue("plane")
        return
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children(profile), crds.model_booster()])
        yield profile, plane
