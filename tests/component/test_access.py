"""Which cluster, user and namespace a command looks at; kubectl decides the same way."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import CHILDREN, MODEL_BOOSTER
from app.errors import Forbidden, UsageError
from app.values.meta import Object
from modelbooster.observe.access import Access, Cluster, NoCluster, open_cluster
from tests.controlplane import clients, crds
from tests.controlplane.plane import ControlPlane

pytestmark = pytest.mark.anyio


def _config(plane: ControlPlane, folder: Path, name: str, namespace: str | None) -> Path:
    """Writes a kubeconfig whose only context has the name of the file."""
    path = plane.kubeconfig_for(plane.token, folder / name)
    config = yaml.safe_load(path.read_text())
    entry: Object = config["contexts"][0]
    entry["name"] = config["current-context"] = name
    entry["context"].pop("namespace", None)
    if namespace:
        entry["context"]["namespace"] = namespace
    path.write_text(yaml.safe_dump(config))
    return path


async def _seen(access: Access) -> Cluster:
    async with open_cluster(access) as cluster:
        await cluster.kube.list(MODEL_BOOSTER, namespace=cluster.scope)
        return cluster


async def test_first_file_of_kubeconfig_chooses_as_in_kubectl(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [_config(plane, tmp_path, name, name) for name in ("one", "two")]
    named = os.pathsep.join(map(str, (tmp_path / "missing", *files)))
    monkeypatch.setenv("KUBECONFIG", named)

    first = await _seen(Access())
    assert (first.context, first.namespace, first.scope) == ("one", "one", "one")
    command = [str(clients.kubectl()), "config", "current-context"]
    environment = {"KUBECONFIG": named, "HOME": str(tmp_path)}
    said = await asyncio.to_thread(
        lambda: subprocess.check_output(command, env=environment, text=True)
    )
    assert said == "one\n"
    assert (await _seen(Access(context="two"))).namespace == "two"
    assert (await _seen(Access(context="two", namespace="x"))).namespace == "x"
    everywhere = await _seen(Access(namespace="x", all_namespaces=True))
    assert everywhere.scope is None


async def test_default_namespace_and_explicit_file(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/missing")
    path = _config(plane, tmp_path, "plain", None)
    assert (await _seen(Access(kubeconfig=str(path)))).namespace == "default"


async def test_impersonated_user_has_only_their_rights(plane: ControlPlane, tmp_path: Path) -> None:
    path = _config(plane, tmp_path, "plain", None)
    with pytest.raises(Forbidden, match='User "nobody" cannot list resource "modelboosters"'):
        await _seen(Access(kubeconfig=str(path), user="nobody"))


async def test_no_cluster_is_one_sentence(
    plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", "/missing/config")
    with pytest.raises(NoCluster, match=r"^no cluster is configured: .* --kubeconfig$"):
        await _seen(Access())

    path = _config(plane, tmp_path, "plain", None)
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(NoCluster) as dead:
        await _seen(Access(kubeconfig=str(path)))
    assert str(dead.value) == (
        "the cluster https://127.0.0.1:1 of context plain does not answer: connection refused; "
        "check its address, your network and --context"
    )

    stale = plane.kubeconfig_for("wrong", tmp_path / "stale")
    with pytest.raises(NoCluster, match=r"rejects your credentials \(401 Unauthorized\)"):
        await _seen(Access(kubeconfig=str(stale)))


async def test_wrong_options_are_named(plane: ControlPlane, tmp_path: Path) -> None:
    path = str(_config(plane, tmp_path, "plain", None))
    with pytest.raises(UsageError) as unknown:
        await _seen(Access(kubeconfig=path, context="other"))
    assert str(unknown.value) == f'context "other" does not exist in {path}; there is plain'
    with pytest.raises(UsageError, match='--kubeconfig: there is no file "/missing"'):
        await _seen(Access(kubeconfig="/missing"))
    (tmp_path / "broken").write_text("a: [")
    with pytest.raises(UsageError, match="broken cannot be read: while parsing"):
        await _seen(Access(kubeconfig=str(tmp_path / "broken")))


@pytest.mark.slow
async def test_first_list_of_a_new_kind_waits() -> None:
    """The API server answers 429 until its cache of the kind is filled."""
    with ControlPlane() as plane:
        crds.install(plane.api, crds.children("B"))
        async with open_cluster(Access(str(plane.kubeconfig))) as cluster:
            found = await asyncio.gather(*(cluster.kube.list(kind) for kind in CHILDREN))
    assert [seen.items for seen in found] == [[]] * len(CHILDREN)
