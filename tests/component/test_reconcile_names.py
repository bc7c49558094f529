"""One name in two namespaces, on the real API server: the status says whose requests go astray."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, Profile
from app.values.meta import Object
from tests.builders import backend, booster_object, lora
from tests.component.running import condition, is_in, running
from tests.controlplane.plane import ControlPlane
from tests.world import Admin, World

pytestmark = pytest.mark.anyio

ADAPTED = backend(loraAdapters=[lora("sql")])
LOST = 'requests for model "chat" reach another ModelRoute of the cluster instead'


@pytest.fixture
def tenant(plane: ControlPlane) -> World:
    """Another namespace."""
    made = plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    return World(Admin(plane.api, made["metadata"]["name"]))


def says(words: str, *, so: bool = True) -> Callable[[Object], bool]:
    return lambda booster: (words in condition(booster, "Active")["message"]) is so


async def until_a_second_later(obj: Object) -> None:
    """Waits until an object that is created now is younger: times are whole seconds."""
    created = datetime.fromisoformat(obj["metadata"]["creationTimestamp"])
    while int(datetime.now(UTC).timestamp()) <= int(created.timestamp()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("profile", [Profile.A, Profile.B])
@pytest.mark.slow
async def test_status_says_that_another_route_wins(
    world: World, tenant: World, kubeconfig: Path, profile: Profile
) -> None:
    async with running(kubeconfig, world.namespace, tenant.namespace, profile=profile):
        await world.put(MODEL_BOOSTER, booster_object("first", ADAPTED, name="chat"))
        await until_a_second_later(await world.until(MODEL_ROUTE, "first"))
        await tenant.put(MODEL_BOOSTER, booster_object("second", ADAPTED, name="chat"))
        await tenant.until(MODEL_ROUTE, "second")

        older_wins = profile is not Profile.A
        loser, winner = (tenant, world) if older_wins else (world, tenant)
        lost, won = ("second", "first") if older_wins else ("first", "second")
        booster = await loser.until(MODEL_BOOSTER, lost, says(LOST))
        message = condition(booster, "Active")["message"]
        assert 'requests for adapter "sql" reach another' in message
        assert winner.namespace not in message
        assert won not in message
        kept = await winner.until(MODEL_BOOSTER, won, is_in(("TFF", "ModelProcessing")))
        assert "requests for" not in condition(kept, "Active")["message"]

        await winner.delete(MODEL_BOOSTER, won)
        await loser.until(MODEL_BOOSTER, lost, says("requests for", so=False))
