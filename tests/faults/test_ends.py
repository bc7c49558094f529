"""Rows F25 and F28: what becomes of work when the process ends, asked to or not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVER, MODEL_SERVING
from app.values.meta import Object, uid_of
from controller.election.lease import LEASE
from tests import audit
from tests.builders import booster_object
from tests.component.running import DEPLOYING, is_in, written
from tests.controlplane import crds
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import eventually
from tests.faults.program import LEASE_NAME, Program
from tests.proxy import Delay, Proxy, Rule
from tests.world import Admin

CHILDREN = ((MODEL_SERVING, "m-b1"), (MODEL_SERVER, "m-b1"), (MODEL_ROUTE, "m"))


@pytest.fixture
def programs() -> Iterator[ExitStack]:
    """Ends the programs of a test."""
    with ExitStack() as stack:
        yield stack


@pytest.mark.fault("F25")
@pytest.mark.parametrize(("resource", "name"), CHILDREN, ids=["first", "second", "third"])
@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_pass(
    resource: object,
    name: str,
    proxy: Proxy,
    kubeconfig: Path,
    admin: Admin,
    plane: ControlPlane,
    programs: ExitStack,
    tmp_path: Path,
) -> None:
    here = {"namespace": admin.namespace, "namespaces": admin.namespace}
    first = Program("first", proxy.kubeconfig, tmp_path, **here)
    programs.callback(first.end)
    admin.until(LEASE, LEASE_NAME, lambda o: _replica(o) == "first")
    second = Program("second", kubeconfig, tmp_path, **here)
    programs.callback(second.end)
    second.until_ready()
    eventually(lambda: re.search("second_[^ ]+ waits: first_[^ ]+ leads", second.log))
    assert isinstance(resource, type(MODEL_ROUTE))
    slow = proxy.add(Rule(Delay(1.5), verb="patch", resource=resource.plural))
    admin.put(MODEL_BOOSTER, booster_object("m"))
    eventually(lambda: slow.acted)

    first.process.terminate()

    assert first.process.wait(60) == 0
    made = {str(which): admin.until(*which) for which in CHILDREN}  # its last request, too
    assert "released the lease" in first.log
    lease = admin.until(LEASE, LEASE_NAME, lambda o: _replica(o) == "second")
    assert lease["spec"]["leaseTransitions"] == 1
    admin.put(MODEL_BOOSTER, booster_object("after"))
    admin.until(MODEL_BOOSTER, "after", is_in(DEPLOYING))
    admin.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
    for which in CHILDREN:
        assert uid_of(admin.until(*which)) == uid_of(made[str(which)])
    lines = [line for line in written(plane, admin.namespace) if "after" not in line]
    assert sorted(line for line in lines if "leases" not in line) == [
        "200 patch modelboosters/m/status",
        "201 patch modelroutes/m",
        "201 patch modelservers/m-b1",
        "201 patch modelservings/m-b1",
    ]


def _replica(lease: Object) -> str:
    holder: str = lease["spec"]["holderIdentity"]
    return holder.rpartition("_")[0]


QUICK_LEASE = {"lease_seconds": 3, "lease_renew_seconds": 2, "lease_retry_seconds": 0.5}


@pytest.mark.slow
def test_restarted_container_does_not_reuse_its_old_lease(
    kubeconfig: Path, admin: Admin, programs: ExitStack, tmp_path: Path
) -> None:
    here = {"namespace": admin.namespace, "namespaces": admin.namespace, **QUICK_LEASE}
    first = Program("pod-0", kubeconfig, tmp_path, **here)
    programs.callback(first.end)
    before = admin.until(LEASE, LEASE_NAME, lambda o: _replica(o) == "pod-0")["spec"]
    first.process.kill()
    first.process.wait()

    second = Program("pod-0", kubeconfig, tmp_path, **here)
    programs.callback(second.end)

    def is_other(lease: Object) -> bool:
        return bool(lease["spec"]["holderIdentity"] != before["holderIdentity"])

    after = admin.until(LEASE, LEASE_NAME, is_other)
    assert _replica(after) == "pod-0"
    assert after["spec"]["leaseTransitions"] == 1
    assert f"waits: {before['holderIdentity']} leads" in second.log


MANY = 500


@pytest.fixture
def crowded() -> Iterator[ControlPlane]:
    """A control plane of its own, with many ModelBoosters."""
    with ControlPlane() as plane:
        crds.install(plane.api, [*crds.children("B"), crds.model_booster()])

        def make(n: int) -> None:
            plane.api.request("POST", MODEL_BOOSTER.path("default"), booster_object(f"m{n}"))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(make, range(MANY)))
        yield plane


@pytest.mark.slow
@pytest.mark.fault("F28")
@pytest.mark.timeout(300)  # the first process makes thousands of objects
def test_killed_controller_restarts_among_many_objects(
    crowded: ControlPlane, programs: ExitStack, tmp_path: Path
) -> None:
    kubeconfig = crowded.kubeconfig_for(crowded.token, tmp_path / "kubeconfig")
    alone = {"leader_election": "false", "log_level": "warning"}
    first = Program("first", kubeconfig, tmp_path, **alone)
    programs.callback(first.end)
    eventually(lambda: _has_looked_at_all(first), 200)

    first.process.kill()
    first.process.wait(60)
    begun = audit.now(crowded)
    second = Program("second", kubeconfig, tmp_path, **alone)
    programs.callback(second.end)
    eventually(lambda: _has_looked_at_all(second), 100)

    assert written(crowded, "default", begun) == []
    steady, peak = second.memory_kib("VmRSS"), second.memory_kib("VmHWM")
    print(f"{MANY} ModelBoosters: {steady} KiB, {peak} KiB at the start")
    assert peak <= 1.5 * steady


def _has_looked_at_all(program: Program) -> bool:
    if program.metric("controller_runtime_reconcile_total") < MANY:
        return False
    waiting = program.metric("workqueue_depth")
    return not waiting + program.metric("controller_runtime_active_workers")
