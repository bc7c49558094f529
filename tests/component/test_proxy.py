"""The proxy breaks what a rule names, nothing else, and counts what passes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.values.meta import Resource
from tests.controlplane import clients
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.controlplane.plane import ControlPlane
from tests.proxy import (
    Answer,
    CutAnswer,
    Delay,
    ErrorEvent,
    Proxy,
    ResetAfterCommit,
    ResetBeforeCommit,
    Rewrite,
    Rule,
    Silence,
)
from tests.world import PATIENCE_SECONDS, Admin

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")


@pytest.fixture
def through(plane: ControlPlane, proxy: Proxy, namespace: str) -> Iterator[Admin]:
    """The administrator, speaking to the server through the proxy."""
    with Api(proxy.url, plane.ca_file, plane.token) as api:
        yield Admin(api, namespace)


def config_map(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}}


def watched(through: Admin, *, seconds: float = PATIENCE_SECONDS, wanted: bytes = b"") -> bytes:
    """Returns what a watch of the namespace's ConfigMaps brings.

    Args:
        through: whose watch.
        seconds: how long it may be silent.
        wanted: what ends it, besides its own end and silence.
    """
    client = through.api.client
    params = {"watch": "1", "resourceVersion": "0"}
    got = b""
    with client.stream(
        "GET",
        through.path(CONFIG_MAP),
        params=params,
        timeout=httpx.Timeout(PATIENCE_SECONDS, read=seconds),
    ) as stream:
        try:
            for chunk in stream.iter_raw():
                got += chunk
                if wanted and wanted in got:
                    return got
        except httpx.ReadTimeout:
            return got + b"<silent>"
        except httpx.TransportError:
            return got + b"<cut>"
    return got + b"<end>"


def test_without_rules_requests_pass_and_are_counted(through: Admin, proxy: Proxy) -> None:
    through.create(CONFIG_MAP, config_map("a"))
    assert through.get(CONFIG_MAP, "a")
    through.list(CONFIG_MAP)
    through.patch(CONFIG_MAP, "a", {"data": {"k": "v"}})
    through.delete(CONFIG_MAP, "a")
    assert through.get(CONFIG_MAP, "a") is None

    codes = {(c.verb, c.code): n for c, n in proxy.counts.items() if c.resource == "configmaps"}
    assert codes == {
        ("create", 201): 1,
        ("get", 200): 1,
        ("list", 200): 1,
        ("patch", 200): 1,
        ("delete", 200): 1,
        ("get", 404): 1,
    }
    assert proxy.count(verb="get") == 2


def test_kubectl_works_through_the_proxy(through: Admin, proxy: Proxy, tmp_path: Path) -> None:
    through.create(CONFIG_MAP, config_map("a"))
    kubectl: list[str | Path] = [clients.kubectl(), "--kubeconfig", proxy.kubeconfig]
    done = subprocess.run(
        [*kubectl, "get", "configmap", "-o", "name", "-n", through.namespace],
        text=True,
        capture_output=True,
        check=True,
        env={"HOME": str(tmp_path)},
    )
    assert "configmap/a\n" in done.stdout


def test_answer_replaces_the_servers_response(through: Admin, proxy: Proxy) -> None:
    rule = Rule(Answer(429, headers={"Retry-After": "7"}), verb="create", skip=1, times=2)
    proxy.add(rule)

    through.create(CONFIG_MAP, config_map("passes"))
    for name in ("one", "two"):
        with pytest.raises(Refused, match="injected") as refused:
            through.create(CONFIG_MAP, config_map(name))
        assert refused.value.status == 429
    through.create(CONFIG_MAP, config_map("three"))

    assert rule.acted == 2
    names = {obj["metadata"]["name"] for obj in through.list(CONFIG_MAP)}
    assert names >= {"passes", "three"}
    assert not names & {"one", "two"}
    assert proxy.count(verb="create", code=429) == 2


def test_the_body_can_be_garbage(through: Admin, proxy: Proxy) -> None:
    proxy.add(Rule(Answer(502, body="<html>bad gateway</html>"), verb="get"))
    with pytest.raises(Refused, match="bad gateway"):
        through.get(CONFIG_MAP, "a")


def test_rule_selects_one_object(through: Admin, proxy: Proxy) -> None:
    proxy.add(Rule(Answer(500), resource="configmaps", name="a", times=None))
    assert through.get(CONFIG_MAP, "b") is None
    for _ in range(3):
        with pytest.raises(Refused, match="injected"):
            through.get(CONFIG_MAP, "a")
    proxy.clear()
    assert through.get(CONFIG_MAP, "a") is None


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        pytest.param(ResetBeforeCommit(), False, id="before the server saw it"),
        pytest.param(ResetAfterCommit(), True, id="after it was carried out"),
    ],
)
def test_a_reset(
    through: Admin, proxy: Proxy, fault: ResetBeforeCommit | ResetAfterCommit, *, stored: bool
) -> None:
    proxy.add(Rule(fault, verb="create"))
    with pytest.raises(NoAnswer):
        through.create(CONFIG_MAP, config_map("a"))
    assert (through.get(CONFIG_MAP, "a") is not None) == stored
    assert proxy.count(verb="create", code=0) == 1


def test_a_watch_is_cut_after_some_bytes(through: Admin, proxy: Proxy) -> None:
    through.create(CONFIG_MAP, config_map("a"))
    proxy.add(Rule(CutAnswer(after_bytes=50), verb="watch"))
    got = watched(through)
    assert got.endswith(b"<cut>")
    assert len(got) == 50 + len(b"<cut>")


def test_a_watch_falls_silent(through: Admin, proxy: Proxy) -> None:
    proxy.add(Rule(Silence(), verb="watch"))
    through.create(CONFIG_MAP, config_map("a"))
    assert watched(through, seconds=3) == b"<silent>"
    # The next watch is not silent: the object is there.
    assert b'"name":"a"' in watched(through, wanted=b'"name":"a"')


def test_a_watch_ends_with_410(through: Admin, proxy: Proxy) -> None:
    proxy.add(Rule(ErrorEvent(), verb="watch"))
    event = json.loads(watched(through).removesuffix(b"<end>"))
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_body_is_rewritten(through: Admin, proxy: Proxy) -> None:
    through.create(CONFIG_MAP, config_map("a"))
    proxy.add(Rule(Rewrite(lambda body: body.replace(b'"a"', b'"z"')), verb="get"))
    obj = through.get(CONFIG_MAP, "a")
    assert obj
    assert obj["metadata"]["name"] == "z"


def test_a_large_list_is_rewritten_too(through: Admin, proxy: Proxy) -> None:
    # The server compresses responses of this size if the client accepts it.
    through.create(CONFIG_MAP, {**config_map("a"), "data": {"k": "v" * 200_000}})
    proxy.add(Rule(Rewrite(lambda body: body.replace(b'"a"', b'"z"')), verb="list"))
    assert "z" in {obj["metadata"]["name"] for obj in through.list(CONFIG_MAP)}
    assert "a" in {obj["metadata"]["name"] for obj in through.list(CONFIG_MAP)}


def test_delay_forwards_the_request(through: Admin, proxy: Proxy) -> None:
    proxy.add(Rule(Delay(0.2), verb="create"))
    through.create(CONFIG_MAP, config_map("a"))
    assert through.get(CONFIG_MAP, "a")


def test_random_rules_are_reproducible(plane: ControlPlane, tmp_path: Path) -> None:
    def failures(seed: int) -> list[int]:
        failed = []
        with (
            Proxy(plane, tmp_path, seed) as proxy,
            Api(proxy.url, plane.ca_file, plane.token) as api,
        ):
            proxy.add(Rule(Answer(503), verb="get", times=None, chance=0.5))
            for number in range(20):
                try:
                    api.request("GET", "/version")
                except Refused:
                    failed.append(number)
        return failed

    first = failures(1)
    assert 0 < len(first) < 20
    assert failures(1) == first
    assert failures(2) != first
