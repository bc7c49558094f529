"""Row F19: a change of the system clock has no effect on what matters."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from certs.pki import new_authority, new_leaf
from certs.policy import AUTHORITY_LIFE, LEAF_LIFE, authority_fault, leaf_fault
from controller.election.lease import LEASE
from tests.builders import booster_object
from tests.component.running import ACTIVE, DEPLOYING, is_in
from tests.faults.program import LEASE_NAME, Program
from tests.world import Admin

LEASE_SECONDS = 3
HOUR = 3600.0

STEPS = ((HOUR, 1.0), (0, 1), (-HOUR, 1.0), (30.0, 1.0), (-30.0, 1.0), (0.0, 0.5), (0, 1))
"""Shift in seconds and rate, one after the other: each begins with a jump."""

Start = Callable[[str, Path], None]


@pytest.fixture
def start(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a controller whose clock is what a file says."""
    with ExitStack() as stack:

        def start(name: str, clock: Path) -> None:
            settings = {
                "namespace": namespace,
                "namespaces": namespace,
                "lease_seconds": LEASE_SECONDS,
                "lease_renew_seconds": 2,
                "lease_retry_seconds": 0.2,
            }
            module = ("tests.faults.skewed", str(clock))
            stack.callback(Program(name, kubeconfig, tmp_path, *module, **settings).end)

        yield start


def set_to(clock: Path, skew: tuple[float, float]) -> None:
    new = clock.with_suffix(".new")
    new.write_text(json.dumps(skew))
    new.replace(clock)


def moves(booster: Object) -> dict[str, str]:
    return {c["type"]: c["lastTransitionTime"] for c in booster["status"]["conditions"]}


@pytest.mark.fault("F19")
@pytest.mark.slow
def test_clock_jump_affects_neither_lease_nor_conditions(
    start: Start, admin: Admin, tmp_path: Path
) -> None:
    ours, true = tmp_path / "ours", tmp_path / "true"
    set_to(ours, (0, 1))
    set_to(true, (0, 1))
    start("leader", ours)
    admin.until(LEASE, LEASE_NAME, lambda o: o["spec"]["holderIdentity"].startswith("leader_"))
    start("other", true)
    admin.put(MODEL_BOOSTER, booster_object("m"))
    told = moves(admin.until(MODEL_BOOSTER, "m", is_in(DEPLOYING)))
    begun = time.monotonic()

    for number, skew in enumerate(STEPS):
        set_to(ours, skew)
        wanted, condition = (DEPLOYING, "Progressing") if number % 2 else (ACTIVE, "Available")
        admin.serve(MODEL_SERVING, "m-b1", condition)
        now = moves(admin.until(MODEL_BOOSTER, "m", is_in(wanted)))
        assert all(now[kind] >= told[kind] for kind in told), skew
        told = now
        renewed(admin)

    # For longer than a lease lasts it was renewed, and the other one has waited.
    while time.monotonic() < begun + 2 * LEASE_SECONDS:
        renewed(admin)
    lease = renewed(admin)
    assert lease["spec"]["holderIdentity"].startswith("leader_")
    assert lease["spec"].get("leaseTransitions", 0) == 0


def renewed(admin: Admin) -> Object:
    """Waits for the next renewal of the lease."""
    version = admin.until(LEASE, LEASE_NAME)["metadata"]["resourceVersion"]
    return admin.until(LEASE, LEASE_NAME, lambda o: o["metadata"]["resourceVersion"] != version)


@pytest.mark.fault("F19")
@pytest.mark.parametrize("seconds", [30, -30, HOUR, -HOUR + 300])
def test_certificates_survive_clock_jumps(seconds: float) -> None:
    made = datetime.now(UTC)
    authority = new_authority("ca", made, AUTHORITY_LIFE)
    leaf = new_leaf(authority, ["webhook.svc"], made, LEAF_LIFE)
    now = made + timedelta(seconds=seconds)

    assert authority_fault(authority, now) is None
    assert leaf_fault(leaf, ["webhook.svc"], authority.cert, now) is None
