"""Fixtures of several files of component tests."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.component.running import running
from tests.played_pods import PlayedNode, played_node
from tests.world import Admin


@pytest.fixture
def node(admin: Admin, tmp_path: Path) -> Iterator[PlayedNode]:
    """A node that answers requests for the logs of its pods."""
    with played_node(admin, tmp_path) as node:
        yield node


@pytest.fixture
async def served(kubeconfig: Path, namespace: str) -> AsyncIterator[None]:
    """A controller that handles the namespace."""
    async with running(kubeconfig, namespace):
        yield


@pytest.fixture
def abandoned_handshakes() -> Iterator[None]:
    """Frees what asyncio does not close: a connection in a handshake when its server closed."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
