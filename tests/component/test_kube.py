"""The adapter on a real API server: verbs, errors, credentials, limits, answers that are none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import yaml

from app.errors import (
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    LeadershipLost,
    NotFound,
    Unreachable,
    UsageError,
)
from app.kube import Event, Kube, access, connect, is_unknown_kind
from app.kube.transport import MAX_PARALLEL_WRITES
from app.values.meta import Object, Resource
from tests import audit
from tests.controlplane.credentials import Authority, write_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK, Port
from tests.following import eventually
from tests.proxy import CutAnswer, Delay, Proxy, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
NAMESPACE = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
ROUTE = Resource("networking.serving.volcano.sh", "v1alpha1", "modelroutes", "ModelRoute")
NOWHERE = Resource("no.such.group", "v1", "things", "Thing")


@pytest.fixture
async def kube(kubeconfig: Path) -> AsyncIterator[Kube]:
    async with connect(str(kubeconfig)) as connected:
        yield connected


@pytest.fixture
async def through(proxy: Proxy) -> AsyncIterator[Kube]:
    """The adapter, speaking to the server through the proxy."""
    async with connect(str(proxy.kubeconfig)) as connected:
        yield connected


def config_map(namespace: str, name: str = "m", **values: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, "labels": {"team": "red"}},
        "data": values,
    }


# Verbs


NO_STREAMED_LISTS = {30, 31, 33}
"""Minor versions of Kubernetes whose feature gate WatchList is off by default."""


async def test_an_applied_object_exists_and_we_manage_its_fields(
    kube: Kube, world: World, namespace: str
) -> None:
    applied = await kube.apply(CONFIG_MAP, config_map(namespace, a="1"))
    stored = await world.until(CONFIG_MAP, "m", lambda o: o["data"] == {"a": "1"})
    assert stored["metadata"]["uid"] == applied["metadata"]["uid"]
    assert [(m["manager"], m["operation"]) for m in stored["metadata"]["managedFields"]] == [
        ("model-booster-controller", "Apply")
    ]
    again = await kube.apply(CONFIG_MAP, config_map(namespace, a="1"))
    assert again["metadata"]["resourceVersion"] == applied["metadata"]["resourceVersion"]


async def test_apply_takes_over_fields_of_other_managers(
    kube: Kube, world: World, namespace: str
) -> None:
    await world.apply(CONFIG_MAP, config_map(namespace, a="theirs", b="kept"), manager="other")
    applied = await kube.apply(CONFIG_MAP, config_map(namespace, a="ours"))
    assert applied["data"] == {"a": "ours", "b": "kept"}


async def test_a_create_only_apply_leaves_an_existing_object_alone(
    kube: Kube, namespace: str
) -> None:
    create_only = config_map(namespace, a="1")
    create_only["metadata"]["resourceVersion"] = "1"
    await kube.apply(CONFIG_MAP, create_only)
    with pytest.raises(Conflict):
        await kube.apply(CONFIG_MAP, {**create_only, "data": {"a": "2"}})


async def test_creating_an_existing_object_is_a_conflict(kube: Kube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAP, config_map(namespace, a="1"))
    assert made["data"] == {"a": "1"}
    with pytest.raises(Conflict):
        await kube.create(CONFIG_MAP, config_map(namespace, a="2"))


async def test_replacing_an_old_version_is_a_conflict(kube: Kube, namespace: str) -> None:
    first = await kube.create(CONFIG_MAP, config_map(namespace, a="1"))
    second = await kube.replace(CONFIG_MAP, {**first, "data": {"a": "2"}})
    assert second["data"] == {"a": "2"}
    with pytest.raises(Conflict):
        await kube.replace(CONFIG_MAP, {**first, "data": {"a": "3"}})


async def test_patches_of_both_kinds(kube: Kube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAP, config_map(namespace, a="1", b="2"))
    merged = await kube.merge_patch(CONFIG_MAP, namespace, "m", {"data": {"a": None, "c": "3"}})
    assert merged["data"] == {"b": "2", "c": "3"}
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {}}
    with pytest.raises(Conflict):
        await kube.merge_patch(CONFIG_MAP, namespace, "m", stale)
    patched = await kube.json_patch(
        CONFIG_MAP, namespace, "m", [{"op": "replace", "path": "/data/c", "value": "4"}]
    )
    assert patched["data"] == {"b": "2", "c": "4"}


async def test_status_is_patched_separately_from_the_spec(kube: Kube, namespace: str) -> None:
    spec = {"modelName": "m", "rules": [{"name": "r", "targetModels": [{"modelServerName": "s"}]}]}
    route = {
        "apiVersion": ROUTE.api_version,
        "kind": ROUTE.kind,
        "metadata": {"namespace": namespace, "name": "m"},
        "spec": spec,
    }
    made = await kube.create(ROUTE, route)
    patched = await kube.merge_patch(
        ROUTE, namespace, "m", {"status": {}, "spec": {"modelName": "x"}}, subresource="status"
    )
    assert patched["spec"] == made["spec"]


async def test_delete_checks_the_uid(kube: Kube, namespace: str) -> None:
    made = await kube.create(CONFIG_MAP, config_map(namespace))
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAP, namespace, "m", uid="00000000-0000-0000-0000-000000000000")
    await kube.delete(CONFIG_MAP, namespace, "m", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAP, namespace, "m")


async def test_lists_honour_selectors_and_are_complete(kube: Kube, namespace: str) -> None:
    made = {n: await kube.create(CONFIG_MAP, config_map(namespace, n)) for n in ("a", "b")}
    await kube.merge_patch(CONFIG_MAP, namespace, "b", {"metadata": {"labels": {"team": "blue"}}})

    red = await kube.list(CONFIG_MAP, namespace=namespace, label_selector="team in (red,green)")
    assert [(o["kind"], o["metadata"]["name"]) for o in red.items] == [("ConfigMap", "a")]
    one = await kube.list(CONFIG_MAP, namespace=namespace, field_selector="metadata.name=b")
    assert [o["metadata"]["name"] for o in one.items] == ["b"]
    not_older = await kube.list(
        CONFIG_MAP, namespace=namespace, resource_version=red.resource_version
    )
    assert {"a", "b"} <= {o["metadata"]["name"] for o in not_older.items}

    slim: list[Object] = []
    await kube.each(
        CONFIG_MAP, slim.append, namespace=namespace, label_selector="team=red", only_metadata=True
    )
    assert [o["metadata"]["resourceVersion"] for o in slim] == [
        made["a"]["metadata"]["resourceVersion"]
    ]
    assert "data" not in slim[0]


async def test_a_watch_sends_existing_objects_then_changes(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    await kube.create(CONFIG_MAP, config_map(namespace))
    if plane.minor in NO_STREAMED_LISTS:
        watch = kube.watch(
            CONFIG_MAP,
            namespace=namespace,
            resource_version=None,
            initial_events=True,
            timeout_seconds=20,
        )
        with pytest.raises(Invalid, match="sendInitialEvents is forbidden"):
            await anext(watch)
        return
    events: list[Event] = []
    async with (
        asyncio.timeout(20),
        aclosing(
            kube.watch(
                CONFIG_MAP,
                namespace=namespace,
                label_selector="team",
                resource_version=None,
                initial_events=True,
                timeout_seconds=20,
            )
        ) as watch,
    ):
        async for event in watch:
            if event.type == "BOOKMARK" and len(events) > 1:
                continue  # the server sends one now and then
            events.append(event)
            if event.type == "BOOKMARK":
                await kube.apply(CONFIG_MAP, config_map(namespace, a="ä 模"))
            elif event.type == "MODIFIED":
                await kube.delete(CONFIG_MAP, namespace, "m")
            elif event.type == "DELETED":
                break
    assert [event.type for event in events] == ["ADDED", "BOOKMARK", "MODIFIED", "DELETED"]
    assert events[2].object["data"] == {"a": "ä 模"}


async def test_a_watch_ends_when_its_time_is_over(kube: Kube, namespace: str) -> None:
    listed = await kube.list(CONFIG_MAP, namespace=namespace)
    watch = kube.watch(
        CONFIG_MAP,
        namespace=namespace,
        label_selector="team",
        resource_version=listed.resource_version,
        timeout_seconds=1,
    )
    async with asyncio.timeout(20):
        assert [event.type async for event in watch if event.type != "BOOKMARK"] == []


async def test_an_expired_version_is_gone(kube: Kube, namespace: str) -> None:
    watch = kube.watch(ROUTE, namespace=namespace, resource_version="1", timeout_seconds=10)
    with pytest.raises(Gone):
        await anext(watch)


async def test_documents_are_read_only_after_a_change(kube: Kube) -> None:
    first = await kube.read("/openapi/v3/apis/apps/v1")
    assert first.changed
    assert "paths" in first.body
    second = await kube.read("/openapi/v3/apis/apps/v1", etag=first.etag)
    assert (second.changed, second.etag, second.body) == (False, first.etag, {})


# Errors


async def test_a_missing_object_differs_from_a_missing_kind(kube: Kube, namespace: str) -> None:
    with pytest.raises(NotFound) as no_object:
        await kube.get(CONFIG_MAP, namespace, "none")
    with pytest.raises(NotFound) as no_kind:
        await kube.list(NOWHERE, namespace=namespace)
    assert not is_unknown_kind(no_object.value)
    assert is_unknown_kind(no_kind.value)


async def test_missing_namespace_is_named(kube: Kube) -> None:
    with pytest.raises(NotFound) as refused:
        await kube.create(CONFIG_MAP, config_map("no-such-namespace"))
    assert refused.value.details["kind"] == "namespaces"


async def test_an_unknown_field_is_invalid_and_not_retried(kube: Kube, namespace: str) -> None:
    with pytest.raises(Invalid, match="field not declared in schema") as refused:
        await kube.apply(CONFIG_MAP, {**config_map(namespace), "nonsense": 1})
    assert refused.value.status == 500


async def test_an_invalid_object_is_rejected_with_causes(kube: Kube, namespace: str) -> None:
    bad = config_map(namespace, **{"no/such/key": "1"})
    with pytest.raises(Invalid) as refused:
        await kube.create(CONFIG_MAP, bad)
    assert refused.value.status == 422
    assert refused.value.details["causes"]


async def test_a_forbidden_request_raises_forbidden(
    plane: ControlPlane, world: World, namespace: str, tmp_path: Path
) -> None:
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api = plane.api
    await asyncio.to_thread(api.request, "POST", accounts, {"metadata": {"name": "nobody"}})
    issued = await asyncio.to_thread(api.request, "POST", f"{accounts}/nobody/token", {})
    path = plane.kubeconfig_for(issued["status"]["token"], tmp_path / "nobody", namespace)
    async with connect(str(path)) as nobody:
        with pytest.raises(Forbidden, match="nobody"):
            await nobody.get(CONFIG_MAP, namespace, "m")


# Credentials and connections


async def test_missing_credentials_name_the_alternatives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="KUBECONFIG"):
        async with connect():
            raise AssertionError("connected to nothing")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(None, id="no such file"),
        pytest.param("", id="empty"),
        pytest.param("a: [", id="no YAML"),
        pytest.param("a list", id="no map"),
        pytest.param("contexts: []\nclusters: []\nusers: []\n", id="no context"),
        pytest.param(
            "current-context: c\ncontexts: [{name: c, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {server: 'https://h', certificate-authority: /no}}]\n"
            "users: [{name: u, user: {token: t}}]\n",
            id="no authority",
        ),
    ],
)
async def test_unusable_kubeconfig_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "broken"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=str(path)):
        async with connect(str(path)):
            raise AssertionError("connected to nothing")


async def test_kubeconfig_is_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, kubeconfig: Path, namespace: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with connect() as kube:
        assert await kube.list(CONFIG_MAP, namespace=namespace)


@pytest.mark.fault("F11")
async def test_missing_server_is_unreachable(plane: ControlPlane, tmp_path: Path) -> None:
    port = Port()  # reserved, and nobody listens
    server = f"https://{LOOPBACK}:{port}"
    path = write_kubeconfig(tmp_path / "k", server, plane.ca_file, "t", "default")
    async with connect(str(path)) as kube:
        with pytest.raises(Unreachable, match=server):
            await kube.read("/version")
    port.release()


def token_file_config(proxy: Proxy, token_file: Path) -> str:
    """A kubeconfig like that of the proxy, with the token in a file of its own."""
    config = yaml.safe_load(proxy.kubeconfig.read_text())
    config["users"][0]["user"] = {"tokenFile": str(token_file)}
    path = token_file.with_suffix(".kubeconfig")
    path.write_text(yaml.safe_dump(config))
    return str(path)


@pytest.mark.fault("F18")
async def test_renewed_token_costs_one_failed_request(
    plane: ControlPlane, proxy: Proxy, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("expired\n")
    async with connect(token_file_config(proxy, token)) as kube:
        with pytest.raises(ApiError) as refused:
            await kube.read("/api/v1/namespaces")
        assert refused.value.status == 401
        assert kube.refused_seconds > 0
        proxy.counts.clear()

        token.write_text(plane.token + "\n")  # the line end must not matter
        answers = await asyncio.gather(*(kube.read("/api/v1/namespaces") for _ in range(5)))

        assert all(answer.body["items"] for answer in answers)
        assert kube.refused_seconds == 0
        await kube.read("/api/v1/namespaces")
        assert proxy.count(code=401) <= 5  # those that were under way; none after
        proxy.counts.clear()
        await kube.read("/api/v1/namespaces")
        assert proxy.count(code=401) == 0


@pytest.mark.fault("F11")
async def test_replaced_ca_bundle_is_read_again(plane: ControlPlane, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(other.ca_file.read_bytes())
    path = write_kubeconfig(tmp_path / "k", plane.url, trusted, plane.token, "default")
    async with connect(str(path)) as kube:
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await kube.read("/version")
        trusted.write_bytes(plane.ca_file.read_bytes())
        assert (await kube.read("/version")).body["gitVersion"]


@pytest.mark.fault("F11")
async def test_unresolvable_name_is_unreachable(plane: ControlPlane, tmp_path: Path) -> None:
    server = "https://no-such-host.invalid:6443"
    path = write_kubeconfig(tmp_path / "k", server, plane.ca_file, "t", "default")
    async with connect(str(path)) as kube:
        with pytest.raises(Unreachable, match="no-such-host"):
            await kube.read("/version")


async def test_in_a_pod_the_service_account_is_used(
    monkeypatch: pytest.MonkeyPatch, plane: ControlPlane, tmp_path: Path
) -> None:
    # What a kubelet gives to a pod: two variables and a folder, here at another place.
    host, port = plane.url.removeprefix("https://").split(":")
    token = tmp_path / "token"
    token.write_text("of yesterday")
    (tmp_path / "ca.crt").write_bytes(plane.ca_file.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr(access, "SERVICE_ACCOUNT", tmp_path)
    async with connect() as kube:
        with pytest.raises(ApiError, match="401"):
            await kube.read("/api/v1/namespaces")
        token.write_text(plane.token)
        assert (await kube.read("/api/v1/namespaces")).body["items"]


@pytest.mark.slow
async def test_requests_have_our_user_agent(
    kube: Kube, plane: ControlPlane, namespace: str
) -> None:
    since = await asyncio.to_thread(audit.now, plane)
    await kube.list(CONFIG_MAP, namespace=namespace)
    seen = await asyncio.to_thread(audit.requests, plane, since=since, namespace=namespace)
    agents = [r.agent.partition("/")[0] for r in seen if r.resource == "configmaps"]
    # That one creates a ConfigMap in every new namespace.
    assert [a for a in agents if a != "kube-controller-manager"] == ["model-booster"]


# Limits and guards


async def test_request_times_out(through: Kube, proxy: Proxy) -> None:
    proxy.add(Rule(Delay(30)))
    with pytest.raises(Unreachable, match="Timeout"):  # the answer itself would be a 404
        await through.unguarded(0.3).get(CONFIG_MAP, "default", "m")


async def test_write_refused_by_the_guard_is_not_sent(proxy: Proxy, namespace: str) -> None:
    def forbid() -> float:
        raise LeadershipLost("somebody else leads")

    async with connect(str(proxy.kubeconfig), guard=forbid) as kube:
        for write in (
            kube.create(CONFIG_MAP, config_map(namespace)),
            kube.apply(CONFIG_MAP, config_map(namespace)),
            kube.replace(CONFIG_MAP, config_map(namespace)),
            kube.merge_patch(CONFIG_MAP, namespace, "m", {}),
            kube.json_patch(CONFIG_MAP, namespace, "m", []),
            kube.delete(CONFIG_MAP, namespace, "m"),
        ):
            with pytest.raises(LeadershipLost):
                await write
        assert not proxy.counts
        assert (await kube.list(CONFIG_MAP, namespace=namespace)).resource_version
        assert await kube.unguarded().apply(CONFIG_MAP, config_map(namespace))


async def test_write_is_abandoned_at_the_deadline_of_the_guard(
    proxy: Proxy, world: World, namespace: str
) -> None:
    proxy.add(Rule(Delay(2), verb="create"))
    async with connect(str(proxy.kubeconfig), guard=lambda: 0.3) as kube:
        with pytest.raises(Unreachable, match="Timeout"):
            await kube.create(CONFIG_MAP, config_map(namespace))
    # What waits at the proxy is lost with its connection, as on a real way that is cut.
    assert await world.get(CONFIG_MAP, "m") is None


async def test_hanging_writes_do_not_block_lease_renewal(proxy: Proxy, namespace: str) -> None:
    hanging = proxy.add(Rule(Delay(60), verb="create", times=None))
    async with connect(str(proxy.kubeconfig), guard=lambda: 20) as kube:
        writes = [
            asyncio.create_task(kube.create(CONFIG_MAP, config_map(namespace, f"m{n}")))
            for n in range(MAX_PARALLEL_WRITES + 10)
        ]
        await eventually(lambda: hanging.acted == MAX_PARALLEL_WRITES)
        async with asyncio.timeout(5):
            await kube.unguarded().apply(CONFIG_MAP, config_map(namespace, "lease"))
            await kube.get(CONFIG_MAP, namespace, "lease")
        assert not any(write.done() for write in writes)
        for write in writes:
            write.cancel()
        await asyncio.wait(writes)


def connections_to(url: str) -> set[str]:
    """Local ports of this process's open connections to a port of this machine."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    rows = [row.split() for row in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[2].endswith(port) and row[3] == "01"}


async def test_cancelled_request_closes_its_connection_and_timeout_closes_all(
    proxy: Proxy, namespace: str
) -> None:
    async with connect(str(proxy.kubeconfig), guard=lambda: 1.0) as kube:
        await asyncio.gather(*(kube.get(NAMESPACE, None, "default") for _ in range(5)))
        idle = connections_to(proxy.url)
        assert len(idle) > 1
        hanging = proxy.add(Rule(Delay(60), verb="create", times=None))
        asking = asyncio.create_task(kube.create(CONFIG_MAP, config_map(namespace)))
        await eventually(lambda: hanging.acted == 1)
        asking.cancel()
        await asyncio.wait([asking])
        await eventually(lambda: len(idle & connections_to(proxy.url)) == len(idle) - 1)
        await kube.get(NAMESPACE, None, "default")
        assert len(idle & connections_to(proxy.url)) == len(idle) - 1
        with pytest.raises(Unreachable, match="Timeout"):
            await kube.create(CONFIG_MAP, config_map(namespace))
        await eventually(lambda: not idle & connections_to(proxy.url))


async def test_the_rate_of_all_requests_together_is_limited(kubeconfig: Path) -> None:
    # One request in a hundred seconds: what waits now is not sent before the test ends.
    async with connect(str(kubeconfig), qps=0.01, burst=2) as kube:
        many = [asyncio.create_task(kube.read("/version")) for _ in range(6)]
        await eventually(lambda: sum(task.done() for task in many) == 2)
        for _ in range(3):  # an urgent request does not wait for them
            await kube.unguarded(is_urgent=True).get(NAMESPACE, None, "default")
        assert sum(task.done() for task in many) == 2
        for task in many:
            task.cancel()
        await asyncio.wait(many)
    # Each of the others waits for its turn, and gets it.
    async with connect(str(kubeconfig), qps=50, burst=2) as kube:
        await asyncio.gather(*(kube.read("/version") for _ in range(6)))


async def test_every_answer_is_counted(proxy: Proxy, namespace: str) -> None:
    seen: list[tuple[str, str]] = []
    proxy.add(Rule(CutAnswer(3), verb="list"))

    def observe(method: str, host: str, code: str, seconds: float) -> None:
        assert host == proxy.url.removeprefix("https://")
        assert 0 <= seconds < 60
        seen.append((method, code))

    async with connect(str(proxy.kubeconfig), observe=observe) as kube:
        await kube.apply(CONFIG_MAP, config_map(namespace))
        with pytest.raises(NotFound):
            await kube.get(CONFIG_MAP, namespace, "none")
        with pytest.raises(Unreachable):
            await kube.list(CONFIG_MAP, namespace=namespace)
    assert seen == [("PATCH", "201"), ("GET", "404"), ("GET", "<error>")]
