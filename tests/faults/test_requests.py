"""Rows F07, F10 and F12 of the fault table, as far as they are about single requests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.errors import ApiError, Garbled, Unreachable
from app.kube import Kube, connect
from app.values.meta import Object, Resource
from tests.proxy import Answer, Proxy, ResetAfterCommit, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")


@pytest.fixture
async def through(proxy: Proxy) -> AsyncIterator[Kube]:
    """The adapter, speaking to the server through the proxy."""
    async with connect(str(proxy.kubeconfig)) as connected:
        yield connected


def config_map(namespace: str, **values: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": "m"},
        "data": values,
    }


@pytest.mark.fault("F10")
async def test_write_with_a_lost_response_can_be_repeated(
    through: Kube, proxy: Proxy, world: World, namespace: str
) -> None:
    proxy.add(Rule(ResetAfterCommit(), verb="patch"))
    with pytest.raises(Unreachable):
        await through.apply(CONFIG_MAP, config_map(namespace, a="1"))
    done = await world.until(CONFIG_MAP, "m")
    again = await through.apply(CONFIG_MAP, config_map(namespace, a="1"))
    assert again["metadata"]["resourceVersion"] == done["metadata"]["resourceVersion"]


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, "<html>Welcome</html>"), id="HTML"),
        pytest.param(Answer(200, '{"kind":"ConfigMap","metadata":{"na'), id="half a document"),
        pytest.param(Answer(200, ""), id="nothing"),
        pytest.param(Answer(200, "[]"), id="a list"),
        pytest.param(Answer(200, {"kind": "Secret", "metadata": {}}), id="another kind"),
        pytest.param(Answer(200, {"kind": "ConfigMap"}), id="no metadata"),
        pytest.param(Answer(200, {"kind": "ConfigMapList", "metadata": {}}), id="no version"),
        pytest.param(
            Answer(
                200,
                {
                    "kind": "ConfigMapList",
                    "metadata": {"resourceVersion": "1"},
                    "items": [{"metadata": {"name": "a"}}],
                },
            ),
            id="items without uid",
        ),
    ],
)
async def test_malformed_response_is_an_error(through: Kube, proxy: Proxy, answer: Answer) -> None:
    proxy.add(Rule(answer, times=None))
    with pytest.raises(Garbled):
        await through.get(CONFIG_MAP, "default", "m")
    with pytest.raises(Garbled):
        await through.list(CONFIG_MAP, namespace="default")


@pytest.mark.fault("F12")
async def test_endless_headers_are_not_read(through: Kube, proxy: Proxy) -> None:
    proxy.add(Rule(Answer(200, {}, headers={"X-Long": "x" * 100_000})))
    with pytest.raises(Unreachable):
        await through.get(CONFIG_MAP, "default", "m")


@pytest.mark.fault("F12")
@pytest.mark.parametrize(
    "line",
    [
        pytest.param('{"type":"ADDED","obj\n', id="no JSON"),
        pytest.param('{"type":"ADDED"}\n', id="no object"),
        pytest.param('{"type":"RENAMED","object":{"kind":"ConfigMap"}}\n', id="unknown type"),
        pytest.param('{"type":"ADDED","object":{"kind":"Pod","metadata":{}}}\n', id="other kind"),
        pytest.param(
            '{"type":"ADDED","object":{"kind":"ConfigMap","metadata":{}}}\n', id="no name"
        ),
        pytest.param(
            '{"type":"BOOKMARK","object":{"kind":"ConfigMap","metadata":{}}}\n', id="no version"
        ),
    ],
)
async def test_watch_ends_at_a_malformed_line(through: Kube, proxy: Proxy, line: str) -> None:
    metadata = '{"name":"a","uid":"u","resourceVersion":"2"}'
    good = f'{{"type":"DELETED","object":{{"kind":"ConfigMap","metadata":{metadata}}}}}\n'
    proxy.add(Rule(Answer(200, good + line + good), verb="watch"))
    watch = through.watch(CONFIG_MAP, resource_version="1", timeout_seconds=10)
    assert (await anext(watch)).type == "DELETED"
    with pytest.raises(Garbled):
        await anext(watch)


@pytest.mark.fault("F07")
async def test_retry_after_is_passed_on(through: Kube, proxy: Proxy) -> None:
    for header, want in (("7", 7), ("1000000000", 60), ("soon", None)):
        proxy.add(Rule(Answer(429, headers={"Retry-After": header})))
        with pytest.raises(ApiError) as busy:
            await through.get(CONFIG_MAP, "default", "m")
        assert (busy.value.status, busy.value.retry_after_seconds) == (429, want)
