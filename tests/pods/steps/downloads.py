"""Two pods share a folder of a real node: one downloads the model, both serve it."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import httpx

from app.apis.kinds import MODEL_BOOSTER, MODEL_SERVING
from app.convert.pods.downloads import CACHE_OWNER, MODEL_DOWNLOADER, USER
from app.values.meta import Object, Resource
from downloader.cache import commands
from downloader.paths import WORK
from tests.builders import backend, booster_object, worker
from tests.downloader.hub import NAME as MODEL
from tests.downloader.hub import Hub
from tests.played_pods import entry_pod
from tests.pods.stage import Stage, StepFailed
from tests.pods.steps import model
from tests.upgrade.serving import POD
from tests.world import Admin

NAMESPACE, NAME = "downloads", "cached"
"""Nobody plays the serving side in this namespace: its pods really run."""

ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")

HOST = "198.18.0.1"
"""Address of the node, where pods reach the hub."""

CACHE = Path("/mnt/models")
PIECE_SECONDS = 0.5
"""The hub sends 64 KiB so often, until the progress was seen: two minutes for the model."""

FILES = {"config.json": b"{}", "model.safetensors": random.Random(3).randbytes(16 << 20)}

ENGINE = """
import hashlib, http.server, json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
try:
    (folder / "new").touch()
    fault = "the cache is writable"
except OSError as exc:
    fault = ""
files = {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
         for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"fault": fault, "files": files}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
"""In place of vLLM, for which no device is here: reads the model, then answers /health."""


def once_on_a_node(stage: Stage) -> None:
    """The hub sends each byte once, the status tells how far it is, and both pods serve."""
    # The machine's own /mnt is not touched: these namespaces have one of their own.
    subprocess.run(["mount", "-t", "tmpfs", "none", str(CACHE.parent)], check=True)
    _check_handing_over()
    stage.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    admin = Admin(stage.api, NAMESPACE)
    with Hub(dict(FILES), host=HOST) as hub:
        hub.faults.pause = PIECE_SECONDS
        admin.put(MODEL_BOOSTER, _booster(hub))
        serving = admin.until(MODEL_SERVING, f"{NAME}-b1")
        pods = [_pod(stage, serving, group) for group in range(2)]
        admin.until(ACCOUNT, "default")
        for pod in pods:
            admin.create(POD, pod)
        _check_progress(stage, admin)
        hub.faults.pause = 0
        for pod in pods:
            admin.until(POD, pod["metadata"]["name"], _is_ready, seconds=model.SECONDS)
        sent, wanted = hub.sent, sum(map(len, FILES.values()))
        if sent != wanted:
            raise StepFailed(f"the hub sent {sent} bytes of a model of {wanted}")
    for pod in pods:
        _check_served(admin.until(POD, pod["metadata"]["name"]))
    _check_owners(Path(pods[0]["spec"]["initContainers"][1]["args"][3]))
    admin.serve(MODEL_SERVING, f"{NAME}-b1")
    done = admin.until(MODEL_BOOSTER, NAME, model.is_ready, seconds=model.SECONDS)
    if "download" in done["status"]["backendStatuses"][0]:
        raise StepFailed(f"the status still tells of a download: {done['status']}")
    stage.kubectl("delete", "modelboosters,pods", "--all", "-n", NAMESPACE, "--wait=false")


def _booster(hub: Hub) -> Object:
    own = backend(
        "b1",
        modelURI=f"hf://{MODEL}",
        cacheURI=f"hostpath://{CACHE}",
        env=[{"name": "HF_ENDPOINT", "value": hub.url}],
        minReplicas=2,
        maxReplicas=2,
        workers=[worker(resources={"requests": {"cpu": "1m"}})],
    )
    return booster_object(NAME, own, namespace=NAMESPACE)


def _pod(stage: Stage, serving: Object, group: int) -> Object:
    """Returns a pod as kthena makes it, with another program in the engine's container."""
    pod = entry_pod(serving, serving["spec"]["template"]["roles"][0], group)
    spec = pod["spec"]
    owner, downloader = spec["initContainers"]
    assert (owner["name"], downloader["name"]) == (CACHE_OWNER, MODEL_DOWNLOADER)
    (engine,) = [each for each in spec["containers"] if each["name"] == "engine"]
    image = stage.pods("controller")[0]["spec"]["containers"][0]["image"]
    folder = downloader["args"][3]
    command = ["/opt/model-booster/bin/python", "-c", ENGINE, folder]
    spec["containers"] = [{**engine, "image": image, "command": command}]
    return pod


def _check_progress(stage: Stage, admin: Admin) -> None:
    """Waits until status and command tell of a download that goes on."""

    def is_told(booster: Object) -> bool:
        told = booster["status"]["backendStatuses"][0]["download"]
        wanted = {"phase": "Downloading", "pods": 2, "file": "model.safetensors"}
        is_under_way = 0 < told["bytesDone"] < told["bytesTotal"] == sum(map(len, FILES.values()))
        return bool(is_under_way and wanted.items() <= told.items())

    admin.until(MODEL_BOOSTER, NAME, is_told, seconds=model.SECONDS)
    shown = stage.shell(f"{sys.executable} -m modelbooster status {NAME} -n {NAMESPACE}")
    if "downloads the model" not in shown or not re.search(r"█*░+ .* of 16\.8 MB", shown):
        raise StepFailed(f"the command status shows no bar:\n{shown}")


def _check_served(pod: Object) -> None:
    """Checks that the engine of a pod has read the model, from a volume that is read-only."""
    address = f"http://{pod['status']['podIP']}:8000/health"
    said = httpx.get(address, timeout=10, trust_env=False).json()
    files = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    if said != {"fault": "", "files": files}:
        raise StepFailed(f"the engine of {pod['metadata']['name']} says {said}")


def _check_owners(folder: Path) -> None:
    """Checks that root keeps what the kubelet made, and the downloads have what they need."""
    owners = {path: os.stat(path).st_uid for path in (CACHE, folder, *folder.rglob("*"))}
    if owners.pop(CACHE) != 0 or set(owners.values()) != {USER}:
        raise StepFailed(f"{CACHE} belongs to {os.stat(CACHE).st_uid}, the rest to {owners}")


def _check_handing_over() -> None:
    """Checks that files that root left in the folder of a model change hands, and no others."""
    cache = CACHE.parent / "filled"
    folder = cache / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/file").touch()
    for name in ("linked", "named"):
        (cache / name).touch()
    (folder / "link").symlink_to(cache / "linked")
    os.link(cache / "named", folder / "second-name")
    commands.run(["prepare", "--user", str(USER), str(folder)])
    given = (folder, folder / "sub", folder / "sub/file", cache / WORK / "m")
    kept = (cache, cache / "linked", cache / "named", cache / WORK)
    owners = {path: os.stat(path).st_uid for path in (*given, *kept)}
    if owners != dict.fromkeys(given, USER) | dict.fromkeys(kept, 0):
        raise StepFailed(f"the folder of a model was not handed over as it must be: {owners}")


def _is_ready(pod: Object) -> bool:
    conditions = pod["status"]["conditions"]
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)
