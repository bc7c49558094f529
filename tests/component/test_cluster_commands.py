"""The commands that look at a cluster, run as programs on the real API server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.values.meta import Object
from modelbooster.offline.dialect import to_yaml
from tests import audit
from tests.builders import backend, booster_object
from tests.commands import aged, run
from tests.component.running import DEPLOYING, is_in
from tests.conftest import Ran
from tests.controlplane import processes
from tests.controlplane.plane import ControlPlane
from tests.forked_program import PROGRAM
from tests.played_pods import (
    NODE_NAME,
    RUNNING,
    PlayedNode,
    container,
    ended,
    play_pods,
    ready,
    report,
    waiting,
)
from tests.screens import check
from tests.world import PATIENCE_SECONDS, Admin

pytestmark = pytest.mark.anyio

ACTIVE = ("TTF", "ModelAvailable")


class Commands:
    """Runs commands and waits for states without blocking the controller's event loop."""

    def __init__(self, admin: Admin, kubeconfig: Path) -> None:
        self._admin = admin
        self._kubeconfig = kubeconfig

    async def run(self, *args: str, stdin: str = "") -> Ran:
        return await asyncio.to_thread(run, self._kubeconfig, *args, stdin=stdin)

    async def out(self, *args: str) -> str:
        """Runs a command that succeeds and says nothing on stderr."""
        said = await self.run(*args)
        assert (said.stderr, said.code) == ("", 0)
        return said.stdout

    async def deploy(self, obj: Object, state: Any = DEPLOYING) -> None:
        await asyncio.to_thread(self._admin.put, MODEL_BOOSTER, obj)
        await self.until(obj["metadata"]["name"], state)

    async def until(self, name: str, state: Any) -> None:
        await asyncio.to_thread(self._admin.until, MODEL_BOOSTER, name, is_in(state))


@pytest.fixture
def commands(admin: Admin, kubeconfig: Path) -> Commands:
    return Commands(admin, kubeconfig)


async def test_get_prints_the_columns_of_kthena_and_ours(
    served: None, commands: Commands, admin: Admin, namespace: str
) -> None:
    said = await commands.run("get")
    assert (said.stdout, said.stderr, said.code) == (
        "",
        f"No Models found in namespace {namespace}.\n",
        0,
    )
    await commands.deploy(booster_object("qwen"))
    await commands.deploy(booster_object("gemma", backend(modelURI="hf://google/gemma-2-2b-it")))
    admin.serve(MODEL_SERVING, "qwen-b1")
    await commands.until("qwen", ACTIVE)

    check("get-model-boosters", await commands.out("get", "model-boosters"))
    check("get-wide", await commands.out("get", "mb", "-o", "wide"))
    shown = [
        await commands.out("get", kind) for kind in ("model-servings", "mserver", "model-routes")
    ]
    check("get-children", "\n".join(shown))
    assert aged(await commands.out("get", "mb", "QW")).splitlines()[1:] == [
        "qwen   Active   9s    1/1     ModelAvailable"
    ]
    nothing = await commands.run("get", "ms", "llama")
    assert nothing.stderr == "No ModelServings found matching 'llama'.\n"
    everywhere = await commands.out("get", "mb", "-A")
    assert everywhere.startswith("NAMESPACE ")
    # Other files leave ModelBoosters in namespaces with longer names.
    width = max(len(line.split()[0]) for line in everywhere.splitlines())
    assert f"\n{namespace:{width}}   qwen " in everywhere


async def test_get_prints_objects_for_programs(
    served: None, commands: Commands, namespace: str
) -> None:
    await commands.deploy(booster_object("qwen"))

    listed = json.loads(await commands.out("get", "mb", "-o", "json"))
    assert [obj["metadata"]["name"] for obj in listed["items"]] == ["qwen"]
    assert yaml.safe_load(await commands.out("get", "mb", "-o", "yaml")) == listed
    assert await commands.out("get", "mb", "-o", "name") == (
        "modelbooster.workload.serving.volcano.sh/qwen\n"
    )
    none = await commands.run("get", "mb", "-l", "a=b", "-o", "name", "-n", namespace)
    assert (none.stdout, none.code) == ("", 0)


async def test_get_says_what_went_wrong(commands: Commands) -> None:
    said = await commands.run("get", "mb", "--as", "nobody")
    assert said.stderr.startswith(
        "Error: failed to list Models: modelboosters.workload.serving.volcano.sh is forbidden"
    )
    assert (said.stdout, said.code) == ("", 1)
    assert (await commands.run("get", "pods")).code == 2


async def test_describe_has_the_layout_of_kthena(
    served: None, commands: Commands, namespace: str
) -> None:
    await commands.deploy(booster_object("qwen"))

    said = await commands.out("describe", "model-route", "qwen")
    lines = aged(said).splitlines()
    assert [lines[0], lines[1], lines[2], *lines[4:8]] == [
        "ModelRoute: qwen",
        "================",
        f"Namespace: {namespace}",
        "Age: 9s",
        "",
        "Resource Details:",
        "=================",
    ]
    assert lines[3].startswith("Created: 20")
    details = yaml.safe_load(said.partition("=================\n")[2])
    assert (details["kind"], details["metadata"]["name"]) == ("ModelRoute", "qwen")
    booster = await commands.out("describe", "qwen")
    assert booster.startswith("Model: qwen\n================\n")
    assert "\nStatus:\n=================\nqwen is not active" in booster
    missing = await commands.run("describe", "model-booster", "llama")
    assert (missing.stderr, missing.code) == (
        "Error: failed to get Model 'llama': modelboosters.workload.serving.volcano.sh \"llama\" "
        "not found\n",
        1,
    )


async def test_wait_ends_with_the_state_the_reason_or_the_time(
    served: None, commands: Commands, admin: Admin
) -> None:
    await commands.deploy(booster_object("qwen"))
    waits = asyncio.create_task(commands.run("wait", "qwen"))
    await asyncio.sleep(0)
    admin.serve(MODEL_SERVING, "qwen-b1")
    met = await waits
    assert (met.stdout, met.code) == (
        "modelbooster.workload.serving.volcano.sh/qwen condition met\n",
        0,
    )

    late = await commands.run("wait", "qwen", "--for", "failed", "--timeout", "0")
    assert late.code == 3
    assert late.stderr.endswith(
        "Error: qwen is not failed after 0: ModelAvailable: ModelBooster is ready\n"
    )

    bad = booster_object("bad", backend(type="MindIE"))
    await commands.deploy(bad, ("FFT", "UnsupportedBackendType"))
    never = await commands.run("wait", "bad")
    assert never.code == 1
    assert never.stderr.splitlines()[-1].startswith(
        "Error: bad will not be active: UnsupportedBackendType: spec.backends[0].type: "
    )
    assert "do:  use vLLM, vLLMDisaggregated, SGLang or SGLangDisaggregated\n" in never.stderr

    gone = asyncio.create_task(commands.run("wait", "qwen", "--for", "deleted"))
    await asyncio.to_thread(admin.delete, MODEL_BOOSTER, "qwen")
    assert (await gone).stdout == "modelbooster.workload.serving.volcano.sh/qwen deleted\n"
    missing = await commands.run("wait", "qwen")
    assert (missing.code, missing.stderr) == (
        1,
        "Error: qwen will not be active: it does not exist\n",
    )
    assert (await commands.run("wait", "qwen", "--timeout", "soon")).code == 2


async def test_diff_says_which_pods_restart(
    served: None, commands: Commands, admin: Admin, tmp_path: Path
) -> None:
    obj = booster_object("qwen", backend(env=[{"name": "A", "value": "1"}]))
    await commands.deploy(obj)
    file = tmp_path / "qwen.yaml"
    file.write_text(to_yaml([obj]))
    same = await commands.run("diff", str(file))
    assert (same.stdout, same.stderr, same.code) == ("", "", 0)

    file.write_text(to_yaml([booster_object("qwen", backend(env=[{"name": "A", "value": "2"}]))]))
    said = await commands.run("diff", str(file))
    assert (said.stderr, said.code) == ("", 1)
    lines = said.stdout.splitlines()
    assert lines[0] == f"ModelBooster {admin.namespace}/qwen:"
    assert lines[-1] == "  pods restart: backend b1"

    new = await commands.run("diff", "-", stdin=to_yaml([booster_object("llama")]))
    assert new.stdout.splitlines()[0] == f"ModelBooster {admin.namespace}/llama is new:"
    assert new.code == 1
    refused = booster_object("qwen", backend(minReplicas=3, maxReplicas=2))
    assert (await commands.run("diff", "-", stdin=to_yaml([refused]))).code == 2
    assert (await commands.run("diff", "/missing")).code == 2
    cut_off = await asyncio.to_thread(run, "/missing", "diff", str(file))
    assert (cut_off.code, cut_off.stdout) == (2, "")


async def test_logs_of_engine_downloader_and_sidecar(
    served: None, commands: Commands, admin: Admin, node: PlayedNode
) -> None:
    await commands.deploy(booster_object("qwen", backend(minReplicas=2, maxReplicas=2)))
    first, second = play_pods(admin, "qwen-b1", replicas=2, node=NODE_NAME)
    for name in (first, second):
        ready(admin, name, "engine", "runtime")
        node.logs[name, "engine", False] = "INFO one\nINFO two\n"
        node.logs[name, "runtime", False] = "sidecar\n"
    node.logs[first, "engine", True] = "ValueError: no\n"
    node.logs[first, "model-downloader", False] = (
        '{"type": "whole", "time": "2026-11-29T14:00:01Z", "message": "/m is whole"}\n{"type": 1}'
    )

    assert await commands.out("logs", "qwen", "--tail", "1") == (
        f"[pod/{first}/engine] INFO two\n[pod/{second}/engine] INFO two\n"
    )
    assert await commands.out("logs", "qwen", "-c", "sidecar", "-f") in (
        f"[pod/{first}/runtime] sidecar\n[pod/{second}/runtime] sidecar\n",
        f"[pod/{second}/runtime] sidecar\n[pod/{first}/runtime] sidecar\n",
    )
    previous = await commands.run("logs", "qwen", "--previous", "--backend", "b1")
    assert previous.stdout == f"[pod/{first}/engine] ValueError: no\n"
    assert previous.stderr.startswith(f"Error: pod/{second}/engine: ")
    downloader = await commands.run("logs", "qwen", "-c", "downloader")
    begin = f"[pod/{first}/model-downloader] "
    whole = "2026-11-29T14:00:01Z /m is whole"
    assert downloader.stdout == f'{begin}{whole}\n{begin}{{"type": 1}}\n'

    unknown = await commands.run("logs", "qwen", "--backend", "b2")
    assert (unknown.stderr, unknown.code) == (
        'Error: qwen has no backend "b2"; there is b1\n',
        1,
    )
    nothing = await commands.run("logs", "llama")
    assert nothing.stderr == (
        f'Error: ModelBooster "llama" does not exist in namespace {admin.namespace}\n'
    )


async def test_logs_begin_with_the_downloader(
    served: None, commands: Commands, admin: Admin, node: PlayedNode
) -> None:
    await commands.deploy(booster_object("qwen"))
    (pod,) = play_pods(admin, "qwen-b1", node=NODE_NAME)
    report(
        admin,
        pod,
        phase="Pending",
        initContainerStatuses=[container("model-downloader", RUNNING)],
        containerStatuses=[container("engine", waiting("PodInitializing"))],
    )
    node.logs[pod, "model-downloader", False] = "fetching"
    assert await commands.out("logs", "qwen") == "fetching\n"


async def test_status_quotes_the_last_words_of_an_engine(
    served: None, commands: Commands, admin: Admin, node: PlayedNode
) -> None:
    await commands.deploy(booster_object("qwen"))
    (pod,) = play_pods(admin, "qwen-b1", node=NODE_NAME)
    crash = {
        **container("engine", waiting("CrashLoopBackOff", "back-off 40s"), restarts=4),
        "lastState": ended(1),
    }
    report(admin, pod, phase="Running", containerStatuses=[crash])
    node.logs[pod, "engine", False] = (
        "(EngineCore pid=77) ERROR 11-29 12:00:00 [core.py:700] Traceback (most recent call)\n"
        "(EngineCore pid=77) ERROR 11-29 12:00:00 [core.py:700] ValueError: To serve at least one "
        "request with the models's max seq len (131072), (16.0 GiB KV cache is needed, which is "
        "larger than the available KV cache memory (8.1 GiB).\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. "
        "Failed core proc(s): {}\n"
    )
    check("status-crash", await commands.out("status", "qwen"))


@pytest.mark.parametrize(
    ("command", "before", "after"),
    [
        (["status", "-w"], b"qwen is not active", b"qwen is active"),
        (["get", "mb", "-w"], b"qwen   Initialized", b"qwen   Active"),
        (["wait", "qwen", "--for", "failed"], b"qwen: ModelProcessing", b"qwen: ModelAvailable"),
    ],
    ids=["status", "get", "wait"],
)
async def test_changes_are_shown_until_ctrl_c(
    served: None,
    commands: Commands,
    admin: Admin,
    kubeconfig: Path,
    command: list[str],
    before: bytes,
    after: bytes,
) -> None:
    await commands.deploy(booster_object("qwen"))
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *command,
        env={"PATH": os.environ["PATH"], "KUBECONFIG": str(kubeconfig)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        preexec_fn=processes.accept_interrupts,
    )
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        seen = b""
        while before not in seen:
            seen += await process.stdout.readline()
        await asyncio.to_thread(admin.serve, MODEL_SERVING, "qwen-b1")
        while after not in seen:
            seen += await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        assert await process.wait() == 130
    assert b"Aborted" not in rest
    assert b"Traceback" not in rest


async def test_status_of_a_user_without_rights_shows_the_rest(
    served: None, commands: Commands, admin: Admin, plane: ControlPlane
) -> None:
    await commands.deploy(booster_object("qwen"))
    rules = [
        {
            "apiGroups": ["workload.serving.volcano.sh"],
            "resources": ["modelboosters", "modelservings"],
            "verbs": ["get", "list", "watch"],
        }
    ]
    base = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{admin.namespace}"
    role: Object = {"metadata": {"name": "some"}, "rules": rules}
    plane.api.request("POST", f"{base}/roles", role)
    binding = {
        "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "some"},
        "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}],
    }
    plane.api.request("POST", f"{base}/rolebindings", binding)

    said = await commands.run("status", "qwen", "--as", "ann")
    assert said.code == 0
    assert "ModelServing/qwen-b1" in said.stdout
    assert "\n  why: waits for the serving controller to act on generation 1\n" in said.stdout
    assert (
        f"Note: you may not list pods in namespace {admin.namespace}; they are left out\n"
    ) in said.stderr


async def test_status_of_many_model_boosters_lists_as_often_as_of_one(
    commands: Commands, admin: Admin, plane: ControlPlane, namespace: str
) -> None:
    counts = []
    for wanted in (1, 40):
        for number in range(wanted):
            admin.put(MODEL_BOOSTER, booster_object(f"m{number}"))
        before = _lists(plane, namespace)
        said = await commands.run("status")
        assert said.code == 0
        counts.append(_lists(plane, namespace) - before)
    assert counts[0] == counts[1] == 10


def _lists(plane: ControlPlane, namespace: str) -> int:
    return sum(
        request.agent.startswith("model-booster/")
        for request in audit.requests(plane, namespace=namespace)
    )
