"""Which kthena is installed, on a control plane where releases come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY,
    AUTOSCALING_POLICY_BINDING,
    CHILDREN,
    MODEL_BOOSTER,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
    read_kthena_release,
)
from app.cache.informer import Informer
from app.cache.store import Store
from app.installed import CONTROLLER_MANAGER, DEPLOYMENT, Detector, Installed
from app.kube import connect
from app.values.meta import Resource
from controller.reconcile.events import EVENT
from tests.builders import backend, booster_object, policy
from tests.component.running import DEPLOYING, condition, is_in, running
from tests.controlplane import crds
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.following import QUICK
from tests.world import PATIENCE_SECONDS, Admin, World

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(scope="module")
def bare() -> Iterator[ControlPlane]:
    """A control plane with no kinds but ModelBooster."""
    with ControlPlane() as plane:
        crds.install(plane.api, [crds.model_booster()])
        yield plane


@pytest.fixture
def cluster(bare: ControlPlane) -> Iterator[World]:
    """A namespace there; whatever child kinds a test installs are gone after it."""
    made = bare.api.request("POST", "/api/v1/namespaces", {"metadata": {"generateName": "test-"}})
    yield World(Admin(bare.api, made["metadata"]["name"]))
    remove(bare, *CHILDREN)


def install(plane: ControlPlane, release: str, *resources: Resource) -> None:
    """Installs child kinds of a release; all that it has if none is named."""
    names = {resource.kind for resource in resources or CHILDREN}
    definitions = crds.children(release)
    crds.install(plane.api, [d for d in definitions if d["spec"]["names"]["kind"] in names])


def remove(plane: ControlPlane, *resources: Resource) -> None:
    """Removes kinds with all their objects."""
    admin = Admin(plane.api, "")
    there = {o["metadata"]["name"] for o in admin.list(crds.CRD)}
    removed = [resource for resource in resources if str(resource) in there]
    for resource in removed:
        until_listed(plane, resource)
        plane.api.request("DELETE", crds.CRD.path(None, str(resource)))
    for resource in removed:
        # The server takes its time for a definition that was changed a moment ago.
        admin.until_gone(crds.CRD, str(resource), seconds=120)


def until_listed(plane: ControlPlane, resource: Resource) -> None:
    """Waits until a kind's storage is there: removed before that, it may take minutes to go."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            plane.api.request("GET", resource.path(None))
            return
        except Refused as exc:  # "storage is (re)initializing"
            if exc.status != 429 or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


SCALED = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())


async def found(detector: Detector, profile: Profile | None, kinds: int | None = None) -> Installed:
    """Looks until what is wanted is found: discovery takes a moment to follow."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            now = await detector.detect()
            if now.profile is profile and kinds in (None, len(now.kinds)):
                return now


async def test_installed_release_is_reported(bare: ControlPlane, cluster: World) -> None:
    async with connect(str(bare.kubeconfig)) as kube:
        detector = Detector(kube)
        await found(detector, None, 0)
        install(bare, "A")
        first = await found(detector, Profile.A, 5)
        install(bare, "B")
        second = await found(detector, Profile.B, 5)
        install(bare, "C")
        await found(detector, Profile.C, 5)  # the bindings are left over
        remove(bare, AUTOSCALING_POLICY_BINDING)
        await found(detector, Profile.C, 4)

        assert first.booster_is_ours
        assert first.version != second.version
        assert await Detector(kube, Profile.A).detect() != second
        assert (await Detector(kube, Profile.A).detect()).profile is Profile.A


async def deploy_manager(cluster: World, tag: str) -> None:
    """Deploys kthena's controller manager, or changes the tag of its image."""
    labels = {"app": "kthena"}
    image = f"ghcr.io/volcano-sh/kthena-controller-manager:{tag}"
    pod = {"containers": [{"name": "manager", "image": image}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": CONTROLLER_MANAGER}
    kinds = {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind}
    await cluster.put(DEPLOYMENT, {**kinds, "metadata": metadata, "spec": spec})


async def test_the_image_tells_releases_of_one_profile_apart(
    bare: ControlPlane, cluster: World
) -> None:
    install(bare, "B")
    fixed = read_kthena_release("v0.4.0")
    async with connect(str(bare.kubeconfig)) as kube:
        detector = Detector(kube, namespace=cluster.namespace)
        assert (await found(detector, Profile.B)).release is None, "there is no Deployment"
        for tag, want in (("v0.2.0", (0, 2, 0)), ("v0.3.0", (0, 3, 0)), ("latest", None)):
            await deploy_manager(cluster, tag)
            now = await found(detector, Profile.B)
            assert now.release == want
        await deploy_manager(cluster, "v0.2.0")
        assert (await Detector(kube).detect()).release is None, "it is not asked for"
        assert (await Detector(kube, None, fixed, cluster.namespace).detect()).release == fixed


async def test_missing_kthena_is_reported_until_installed(
    bare: ControlPlane, cluster: World
) -> None:
    async with running(bare.kubeconfig, cluster.namespace):
        await cluster.put(MODEL_BOOSTER, booster_object("m", SCALED))

        booster = await cluster.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildApplyFailed")))
        said = condition(booster, "Failed")["message"]
        assert said.startswith("KindUnavailable: kthena is not installed: ")
        assert "install kthena" in said
        assert "404" not in said
        (event,) = await cluster.until_listed(EVENT, lambda events: len(events) == 1)
        assert (event["type"], event["note"]) == ("Warning", said)

        install(bare, "B")
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await cluster.until(MODEL_ROUTE, "m")
        await cluster.until(AUTOSCALING_POLICY_BINDING, "m-b1")


async def test_webhook_logs_a_missing_kind_once_and_reads_it_later(
    bare: ControlPlane, cluster: World, caplog: pytest.LogCaptureFixture
) -> None:
    seen, failed = asyncio.Event(), asyncio.Semaphore(0)
    caplog.set_level("INFO", "app.cache.reflector")
    async with connect(str(bare.kubeconfig)) as kube:
        informer = Informer(
            kube,
            MODEL_ROUTE,
            Store(),
            lambda old, new: seen.set(),
            namespace=cluster.namespace,
            timing=QUICK,
            count=lambda resource, what: failed.release(),
        )
        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            following = group.create_task(informer.run())
            for _ in range(10):
                await failed.acquire()
            assert _logged(caplog, "WARNING") == [
                f"{MODEL_ROUTE}: the API server does not serve this kind; trying again every 15 s"
            ]
            await asyncio.to_thread(install, bare, "B", MODEL_ROUTE)
            rules = [{"name": "r", "targetModels": [{"modelServerName": "s"}]}]
            spec = {"modelName": "chat", "rules": rules}
            kind = {"apiVersion": MODEL_ROUTE.api_version, "kind": MODEL_ROUTE.kind}
            await cluster.put(MODEL_ROUTE, {**kind, "metadata": {"name": "r"}, "spec": spec})
            await seen.wait()
            following.cancel()
    assert f"{MODEL_ROUTE}: the API server serves this kind now" in _logged(caplog, "INFO")


def _logged(caplog: pytest.LogCaptureFixture, level: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == level]


@pytest.mark.fault("F31")
async def test_child_kind_is_removed_and_installed_again(
    bare: ControlPlane, cluster: World
) -> None:
    install(bare, "B", MODEL_SERVING, MODEL_SERVER)
    async with running(bare.kubeconfig, cluster.namespace):
        await cluster.put(MODEL_BOOSTER, booster_object("m"))

        booster = await cluster.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildApplyFailed")))
        message = condition(booster, "Failed")["message"]
        assert message.startswith('KindUnavailable: ModelRoute "m": ')
        await cluster.until(MODEL_SERVING, "m-b1")
        await cluster.until(MODEL_SERVER, "m-b1")

        install(bare, "B", MODEL_ROUTE)
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        await cluster.until(MODEL_ROUTE, "m")

        remove(bare, MODEL_ROUTE)
        await cluster.put(MODEL_BOOSTER, booster_object("m", name="qwen"))
        await cluster.until(MODEL_BOOSTER, "m", is_in(("FFT", "ChildApplyFailed"), 2))
        install(bare, "B", MODEL_ROUTE)
        await cluster.until(MODEL_ROUTE, "m", lambda o: o["spec"]["modelName"] == "qwen")
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING, 2))


async def test_upgrade_of_kthena_migrates_the_policies(bare: ControlPlane, cluster: World) -> None:
    """The definitions are replaced under a running controller, which goes on running."""
    install(bare, "B")
    async with running(bare.kubeconfig, cluster.namespace, poll_seconds=0.5):
        await cluster.put(MODEL_BOOSTER, booster_object("m", SCALED))
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))
        serving = await cluster.until(MODEL_SERVING, "m-b1")
        await cluster.until(AUTOSCALING_POLICY_BINDING, "m-b1")

        install(bare, "C")

        policy_now = await cluster.until(
            AUTOSCALING_POLICY, "m-b1", lambda o: "homogeneousTarget" in o["spec"]
        )
        await cluster.until_gone(AUTOSCALING_POLICY_BINDING, "m-b1")
        await cluster.until(MODEL_BOOSTER, "m", is_in(DEPLOYING))

    assert [list(metric) for metric in policy_now["spec"]["metrics"]] == [["name", "targetValue"]]
    # No pod restarts for it.
    assert (await cluster.until(MODEL_SERVING, "m-b1"))["metadata"] == serving["metadata"]


@pytest.mark.parametrize("release", ["A", "C"])
async def test_everything_works_with_every_release(
    release: str, bare: ControlPlane, cluster: World
) -> None:
    install(bare, release)
    async with connect(str(bare.kubeconfig)) as kube:
        await found(Detector(kube), Profile(release), 4 if release == "C" else 5)
    async with running(bare.kubeconfig, cluster.namespace):
        await cluster.put(MODEL_BOOSTER, booster_object("m", SCALED))
        await cluster.serve(MODEL_SERVING, "m-b1")
        await cluster.until(MODEL_BOOSTER, "m", is_in(("TTF", "ModelAvailable")))
        await cluster.until(AUTOSCALING_POLICY, "m-b1")
