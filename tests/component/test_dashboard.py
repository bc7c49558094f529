"""``model-booster dashboard`` in a real browser, on the real API server."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from playwright.async_api import BrowserContext, Page, expect

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from tests.browser import browser, dashboard, opened
from tests.builders import backend, booster_object, worker
from tests.commands import run
from tests.component.running import running
from tests.controlplane.plane import ControlPlane
from tests.played_pods import (
    NODE_NAME,
    RUNNING,
    container,
    play_pods,
    played_node,
    ready,
    report,
    unschedulable,
)
from tests.world import Admin

pytestmark = pytest.mark.anyio

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "dashboard.png"
MAX_PICTURE_BYTES = 200_000
EVIL = "<img src=x onerror=alert(1)><script>alert(2)</script>"
EXPECT_MS = 60_000


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    expect.set_options(timeout=EXPECT_MS)
    async with browser() as context:
        yield context


@pytest.fixture
def url(kubeconfig: Path, namespace: str) -> Iterator[str]:
    with dashboard(kubeconfig, "-n", namespace) as (url, _):
        yield url


def qwen() -> Object:
    gpus = {"limits": {"nvidia.com/gpu": 1}}
    workers = [worker(image="vllm/vllm-openai:v0.16.0", resources=gpus)]
    return booster_object(
        "qwen3-8b",
        backend("stable", modelURI="hf://Qwen/Qwen3-8B", routeWeight=95, workers=workers),
        backend("canary", modelURI="hf://Qwen/Qwen3-8B-FP8", routeWeight=5, workers=workers),
        name="Qwen/Qwen3-8B",
    )


async def conditions(admin: Admin, name: str, **reasons: str) -> None:
    """Writes the conditions of a ModelBooster that no controller handles."""
    entries = [
        {
            "type": kind,
            "status": "True",
            "reason": reason.partition(": ")[0],
            "message": reason.partition(": ")[2],
            "lastTransitionTime": "2026-11-29T12:00:00Z",
        }
        for kind, reason in reasons.items()
    ]
    status = {"observedGeneration": 1, "conditions": entries}
    await asyncio.to_thread(
        admin.patch, MODEL_BOOSTER, name, {"status": status}, subresource="status"
    )


async def names(page: Page) -> list[str]:
    return await page.locator("#rows .name").all_inner_texts()


async def test_fleet_with_children_downloads_and_reasons(
    plane: ControlPlane, context: BrowserContext, tmp_path: Path
) -> None:
    """As people see it; the picture of the documentation is made here."""
    admin = Admin(plane.api, "models")
    plane.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": admin.namespace}})
    kubeconfig = plane.kubeconfig_for(plane.token, tmp_path / "kubeconfig", admin.namespace)
    config = yaml.safe_load(kubeconfig.read_text())
    config["current-context"] = config["contexts"][0]["name"] = "production"
    kubeconfig.write_text(yaml.safe_dump(config))
    gpus = worker(image="vllm/vllm-openai:v0.16.0", resources={"limits": {"nvidia.com/gpu": 8}})
    fleet = [
        qwen(),
        booster_object("gpt-oss-20b", backend("vllm", modelURI="hf://openai/gpt-oss-20b")),
        booster_object(
            "qwen3-next-80b",
            backend("vllm", modelURI="hf://Qwen/Qwen3-Next-80B-A3B-Instruct", workers=[gpus]),
        ),
    ]
    with played_node(admin, tmp_path) as node:
        async with running(kubeconfig, admin.namespace):
            for obj in fleet:
                await asyncio.to_thread(admin.create, MODEL_BOOSTER, obj)
            pods = {}
            for serving in (
                *("qwen3-8b-stable", "qwen3-8b-canary"),
                *("gpt-oss-20b-vllm", "qwen3-next-80b-vllm"),
            ):
                (pods[serving],) = await asyncio.to_thread(
                    play_pods, admin, serving, node="" if "next" in serving else NODE_NAME
                )
            for serving in ("qwen3-8b-stable", "qwen3-8b-canary"):
                await asyncio.to_thread(admin.serve, MODEL_SERVING, serving)
                await asyncio.to_thread(ready, admin, pods[serving], "engine", "runtime")
            for serving in ("gpt-oss-20b-vllm", "qwen3-next-80b-vllm"):
                await asyncio.to_thread(admin.serve, MODEL_SERVING, serving, "Progressing")
            message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
            await asyncio.to_thread(unschedulable, admin, pods["qwen3-next-80b-vllm"], message)
            loading = pods["gpt-oss-20b-vllm"]
            await asyncio.to_thread(
                report,
                admin,
                loading,
                phase="Pending",
                initContainerStatuses=[container("model-downloader", RUNNING)],
            )
            node.logs[loading, "model-downloader", False] = (
                "model-00001-of-00004.safetensors:  62%|██████▏   | 8.53G/13.8G "
                "[01:20<00:49, 107MB/s]\n"
            )
            with dashboard(kubeconfig, "-n", admin.namespace) as (url, _):
                page, seen = await opened(context, url)

                rows = page.locator("#rows > tr")
                await expect(rows).to_have_count(3)
                assert await names(page) == ["gpt-oss-20b", "qwen3-8b", "qwen3-next-80b"]
                await expect(rows.nth(1)).to_contain_text("active")
                await expect(rows.nth(1)).to_contain_text("95%")
                await expect(rows.nth(1)).to_contain_text("5%")
                await expect(rows.nth(0)).to_contain_text("download")
                await expect(rows.nth(0).get_by_label("download")).to_be_visible()
                await page.get_by_role("button", name="qwen3-next-80b").click()
                detail = page.locator("td.open")
                await expect(detail).to_contain_text("nvidia.com/gpu")
                await expect(detail).to_contain_text("ModelServing/qwen3-next-80b-vllm")
                await expect(detail).to_contain_text("ModelRoute/qwen3-next-80b")
                await expect(detail).to_contain_text("Initialized")
                await page.evaluate("document.activeElement.blur()")
                await page.set_viewport_size({"width": 1280, "height": 1040})
                picture = await page.screenshot(path=tmp_path / "dashboard.png")
                assert len(picture) < MAX_PICTURE_BYTES
                if os.environ.get("REWRITE_SCREENS"):
                    PICTURE.write_bytes(picture)

                await context.new_page()  # the page stays up to date in the background
                assert seen.problems == []
                assert {urlsplit(request).netloc for request in seen.requests} == {
                    urlsplit(url).netloc
                }
                await page.emulate_media(color_scheme="dark")
                dark = await page.evaluate("getComputedStyle(document.body).backgroundColor")
                await page.emulate_media(color_scheme="light")
                light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
                assert dark != light
    assert PICTURE.stat().st_size < MAX_PICTURE_BYTES


@pytest.mark.slow
async def test_500_models(
    admin: Admin, url: str, context: BrowserContext, plane: ControlPlane
) -> None:
    def create(number: int) -> None:
        admin.create(MODEL_BOOSTER, booster_object(f"model-{number:03}"))

    with ThreadPoolExecutor(8) as pool:
        await asyncio.to_thread(lambda: list(pool.map(create, range(500))))
    await conditions(admin, "model-321", Failed="ValidationFailed: a needle in the haystack")

    page, _ = await opened(context, url)

    count = page.locator("#count")
    await expect(count).to_have_text("500 of 500, page 1 of 10")
    assert len(await names(page)) == 50
    await page.get_by_role("button", name="Next").click()
    await expect(count).to_have_text("500 of 500, page 2 of 10")
    assert (await names(page))[0] == "model-050"
    await page.get_by_role("button", name=re.compile("^failed")).click()
    await expect(count).to_have_text("1 of 500, page 1 of 1")
    await page.get_by_role("button", name=re.compile("^all")).click()
    await page.keyboard.press("/")
    await page.keyboard.type("model-49")
    await expect(count).to_have_text("10 of 500, page 1 of 1")
    await page.keyboard.press("Escape")
    await expect(count).to_have_text("500 of 500, page 1 of 10")


async def test_only_the_keyboard(admin: Admin, url: str, context: BrowserContext) -> None:
    for name in ("one", "two"):
        await asyncio.to_thread(admin.create, MODEL_BOOSTER, booster_object(name))
    page, _ = await opened(context, url)
    await expect(page.locator("#rows .name")).to_have_count(2)

    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")

    await expect(page.locator("td.open")).to_contain_text("hf://owner/model")
    focused = "document.activeElement.textContent"
    assert await page.evaluate(focused) == "two"
    # An update keeps what is open and where the keyboard is.
    await conditions(admin, "two", Active="ModelAvailable", Initialized="ModelCreating")
    await expect(page.locator("td.open")).to_contain_text("ModelAvailable")
    assert await page.evaluate(focused) == "two"
    await page.keyboard.press("Enter")
    await expect(page.locator("td.open")).to_have_count(0)


async def test_text_of_the_cluster_is_never_html(
    admin: Admin, url: str, context: BrowserContext
) -> None:
    evil = booster_object("evil", backend(env=[{"name": "A", "value": EVIL}]))
    evil["spec"]["backends"][0]["modelURI"] = f"hf://{EVIL}"
    await asyncio.to_thread(admin.create, MODEL_BOOSTER, evil)
    await conditions(admin, "evil", Active="ModelProcessing", Failed=f"Bad: {EVIL}")
    page, seen = await opened(context, url)

    await page.get_by_role("button", name="evil").click()

    await expect(page.locator("td.open")).to_contain_text(EVIL)
    assert await page.locator("img").count() == 0
    assert await page.locator("script").count() == 1
    assert seen.problems == []
    # The policy would stop it even if a text were parsed.
    with pytest.raises(Exception, match=r"TrustedHTML|Trusted Type"):
        await page.evaluate("(text) => { document.body.innerHTML = text }", EVIL)


async def test_dashboard_that_ends_is_told(
    admin: Admin, kubeconfig: Path, context: BrowserContext
) -> None:
    await asyncio.to_thread(admin.create, MODEL_BOOSTER, booster_object("one"))
    with dashboard(kubeconfig, "-n", admin.namespace) as (url, process):
        page, _ = await opened(context, url)
        await expect(page.locator("#rows .name")).to_have_count(1)

        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 60) == 0

        await expect(page.locator("#notes")).to_contain_text("does not answer")
        assert await names(page) == ["one"], "the last state stays"


def test_only_reads_and_only_for_its_own_name(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        page = client.get("/")
        policy = page.headers["content-security-policy"]
        assert page.status_code == 200
        assert "default-src 'none'" in policy
        assert "unsafe-inline" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        first = client.get("/fleet.json")
        again = client.get("/fleet.json", headers={"If-None-Match": first.headers["etag"]})
        assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
        for path in ("/", "/fleet.json"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                assert client.request(method, path, content=b"{}").status_code == 405
            rebound = client.get(path, headers={"Host": f"evil.example:{client.base_url.port}"})
            assert (rebound.status_code, "models" in rebound.text) == (421, False)
        for path in ("/page.html", "/..%2f..%2fetc/passwd", "/app.py"):
            assert client.get(path).status_code == 404


def test_another_name_has_to_be_allowed(kubeconfig: Path) -> None:
    options = ("--allow-host", "fleet.example")
    with dashboard(kubeconfig, *options) as (url, _), httpx.Client(trust_env=False) as client:
        for host, status in (("fleet.example", 200), ("FLEET.example:80", 200), ("x", 421)):
            assert client.get(url, headers={"Host": host}).status_code == status


def test_there_is_no_login(kubeconfig: Path) -> None:
    said = run(kubeconfig, "dashboard", "--address", "192.0.2.1")
    assert said.code == 2
    assert said.stderr.startswith(
        "Warning: everybody who reaches 192.0.2.1 port 8765 can see the fleet; there is no login\n"
    )


def test_a_port_that_is_taken(url: str, kubeconfig: Path) -> None:
    port = urlsplit(url).port
    said = run(kubeconfig, "dashboard", "--port", str(port))
    assert (said.stdout, said.code) == ("", 2)
    assert said.stderr == (
        f"Error: 127.0.0.1 port {port} cannot be listened on: Address already in use; choose "
        "another with --port\n"
    )
    wrong = run(kubeconfig, "dashboard", "--address", "everywhere")
    assert (wrong.code, "is not an IP address" in wrong.stderr) == (2, True)
