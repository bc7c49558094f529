"""Requests through an HTTP proxy, as proxy-url of a kubeconfig asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from app.errors import Unreachable
from app.kube import Kube, connect
from app.values.meta import Object, Resource
from tests.controlplane.credentials import Authority, write_kubeconfig
from tests.controlplane.plane import ControlPlane
from tests.controlplane.ports import LOOPBACK

pytestmark = pytest.mark.anyio

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")


@dataclass
class HttpProxy:
    """Opens tunnels (the method CONNECT), and notes where to.

    Args:
        status: of its answer; it opens none unless that is 200.
    """

    status: int = 200
    url: str = ""
    tunnels: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.decode().split(" ", 2)
        assert method == "CONNECT"
        self.tunnels.append(target)
        writer.write(b"HTTP/1.1 %d Answer\r\n\r\n" % self.status)
        if self.status != 200:
            writer.close()
            return
        host, port = target.rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@pytest.fixture
async def http_proxy() -> AsyncIterator[HttpProxy]:
    made = HttpProxy()
    server = await asyncio.start_server(made.serve, LOOPBACK, 0)
    made.url = f"http://{LOOPBACK}:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield made


def through(http_proxy: HttpProxy, plane: ControlPlane, path: Path, ca_file: Path) -> str:
    """Returns the path of a kubeconfig of the administrator that names the proxy."""
    write_kubeconfig(path, plane.url, ca_file, plane.token, "default")
    config = yaml.safe_load(path.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = http_proxy.url
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def first_watched(kube: Kube, namespace: str) -> str:
    watching = kube.watch(CONFIG_MAP, namespace=namespace, resource_version="0", timeout_seconds=60)
    async with aclosing(watching) as events:
        async for event in events:
            return f"{event.type} {event.object['metadata']['name']}"
    return "ended"


async def test_requests_lists_and_watches_pass_through_a_proxy(
    http_proxy: HttpProxy, plane: ControlPlane, tmp_path: Path, namespace: str
) -> None:
    path = through(http_proxy, plane, tmp_path / "k", plane.ca_file)
    obj: Object = {"apiVersion": "v1", "kind": "ConfigMap"}
    obj["metadata"] = {"namespace": namespace, "name": "m"}
    async with asyncio.timeout(60), connect(path) as kube:
        await kube.create(CONFIG_MAP, obj)
        found = await kube.list(CONFIG_MAP, namespace=namespace)
        assert "m" in [each["metadata"]["name"] for each in found.items]
        assert (await first_watched(kube, namespace)).startswith("ADDED ")
    assert set(http_proxy.tunnels) == {plane.url.removeprefix("https://")}


async def test_a_server_behind_a_proxy_must_be_trusted(
    http_proxy: HttpProxy, plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    trusted = tmp_path / "trusted.crt"
    trusted.write_bytes(Authority(tmp_path / "other").ca_file.read_bytes())
    async with connect(through(http_proxy, plane, tmp_path / "k", trusted)) as kube:
        with pytest.raises(Unreachable, match="CERTIFICATE_VERIFY_FAILED"):
            await kube.read("/version")
        trusted.write_bytes(plane.ca_file.read_bytes())
        assert (await kube.read("/version")).body["gitVersion"]


async def test_a_proxy_that_refuses_is_named(
    http_proxy: HttpProxy, plane: ControlPlane, tmp_path: Path
) -> None:
    http_proxy.status = 403
    async with connect(through(http_proxy, plane, tmp_path / "k", plane.ca_file)) as kube:
        with pytest.raises(Unreachable, match="403"):
            await kube.read("/version")
        with pytest.raises(Unreachable, match="403"):
            await kube.list(CONFIG_MAP, namespace="default")
