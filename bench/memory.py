"""Measures the controller's memory: empty, per ModelBooster, and during the start.

Empty: the real process (``model-booster controller``) on a real API server. Where the machine
allows it the process finds its credentials as in a pod, for with a kubeconfig it loads a library
that a pod does not.

With many: that process creates the children of one ModelBooster. What the server then reports about
them is written once per ModelBooster of the fleet, with other names and uids. A whole controller
reads these files (``bench._fed``), makes its passes, and finds nothing to do.

    python -m bench.memory [--fleet 1000 5000] [--pods 20000] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen
from uuid import uuid4

import orjson

from app.apis.kinds import (
    CHILDREN,
    MODEL_BOOSTER,
    MODEL_SERVING,
    NETWORKING,
    REVISION,
    WORKLOAD,
)
from app.convert.options import Options
from app.kube import connect
from app.model.children import Desired
from app.validation import Context
from app.values.meta import Object, annotations_of, uid_of
from bench._conclusion import concluded
from bench._fleet import NAMESPACE, US, Fleet, cluster, player
from bench._pods import can_be_a_pod, in_pod
from controller.plan.desired import desired_state
from controller.plan.fingerprints import POD_INPUTS, POD_TEMPLATE
from controller.plan.rollout_marks import with_live_marks
from tests.builders import booster_object
from tests.controlplane.plane import ControlPlane

PORT = 18998
CALM_SECONDS = 3
"""How long the process must be idle before memory is read."""

SAMPLE = "sample-0000"
"""Name of the ModelBooster that the others are copies of."""

DOCUMENTS = (
    f"/apis/{WORKLOAD}/v1alpha1",
    f"/apis/{NETWORKING}/v1alpha1",
    f"/openapi/v3/apis/{WORKLOAD}/v1alpha1",
    "/version",
)

MOST_BASE_MIB = 90
MOST_KEPT_MIB = 24
MOST_KIB_EACH = 8.0
MOST_PEAK = 1.5
"""Limits: of an empty controller, of the fixed part that stays after work on many ModelBoosters at
once, of a ModelBooster with three children, and of the highest memory during a start against what
it is after it."""


class Process:
    """The controller's process."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._log = plane.folder / "controller.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.is_pod = can_be_a_pod()

    async def start(self) -> None:
        """Starts it; returns when it leads and is idle."""
        process = self._started()
        while not self._leads():
            if process.poll() is not None:
                raise SystemExit(f"the controller ended: {self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.2)
        await asyncio.sleep(CALM_SECONDS)

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "modelbooster", "controller"]
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MODELBOOSTER_")},
            "MODELBOOSTER_PROBE_PORT": str(PORT),
            "MODELBOOSTER_PROBE_HOST": "127.0.0.1",
            "MODELBOOSTER_LOG_LEVEL": "warning",
        }
        if self.is_pod:
            server = urlsplit(self._plane.url)
            environment["KUBERNETES_SERVICE_HOST"] = server.hostname or ""
            environment["KUBERNETES_SERVICE_PORT"] = str(server.port)
            command = in_pod(command, self._plane.ca_file, US.token, NAMESPACE)
        else:
            path = self._plane.folder / "bench.kubeconfig"
            environment["KUBECONFIG"] = str(self._plane.kubeconfig_for(US.token, path))
        self._process = subprocess.Popen(command, env=environment, stderr=self._log.open("ab"))
        return self._process

    def _leads(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{PORT}/metrics") as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return False
        name = "leader_election_master_status{"
        return any(line.startswith(name) and line.endswith(" 1.0") for line in lines)

    def stop(self) -> None:
        """Stops it as the kubelet does."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    @property
    def mib(self) -> float:
        """Memory in use."""
        assert self._process
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024


async def sample(plane: ControlPlane, process: Process) -> tuple[float, list[Object], Object]:
    """Lets the real process create the children of one ModelBooster.

    Returns:
        Its memory before that, all objects as the server sends them, the discovery documents.
    """
    async with connect(str(plane.kubeconfig)) as kube, player(kube):
        fleet = Fleet(kube)
        following = asyncio.create_task(fleet.follow())
        try:
            await process.start()
            empty = process.mib
            await fleet.make([booster_object(SAMPLE)])
            await fleet.until_active([SAMPLE])
            objects = [
                item
                for resource in (MODEL_BOOSTER, *CHILDREN)
                for item in (await kube.list(resource, namespace=NAMESPACE)).items
            ]
            documents = {path: (await kube.read(path)).body for path in DOCUMENTS}
        finally:
            following.cancel()
            process.stop()
        return empty, objects, documents


class Copies:
    """Writes copies of the sample.

    Args:
        objects: the sample.
        context: what the children of a copy depend on, apart from its name.
    """

    def __init__(self, objects: list[Object], context: Context) -> None:
        self._booster = next(obj for obj in objects if obj["kind"] == MODEL_BOOSTER.kind)
        self._texts = [(obj, orjson.dumps({"type": "ADDED", "object": obj})) for obj in objects]
        self._context = context
        self._versions = 1_000_000

    def lines(self, number: int) -> dict[str, bytes]:
        """Returns a line of a watch for each object of a copy, by kind."""
        name, uid = f"model-{number:05}", str(uuid4())
        booster: Object = orjson.loads(self._named(orjson.dumps(self._booster), name, uid))
        children = desired_state(booster, self._context).children
        digests = {
            child.resource.kind: child.object["metadata"]["labels"][REVISION] for child in children
        }
        found: dict[str, bytes] = {}
        for obj, text in self._texts:
            self._versions += 1
            line = self._named(text, name, uid)
            if obj is not self._booster:
                line = line.replace(uid_of(obj).encode(), str(uuid4()).encode())
                digest = obj["metadata"]["labels"][REVISION]
                line = line.replace(digest.encode(), digests[obj["kind"]].encode())
            if obj["kind"] == MODEL_SERVING.kind:
                line = _fingerprinted(line, obj, children)
            version = f'"resourceVersion":"{obj["metadata"]["resourceVersion"]}"'
            line = line.replace(version.encode(), f'"resourceVersion":"{self._versions}"'.encode())
            found[obj["kind"]] = line + b"\n"
        return found

    def _named(self, text: bytes, name: str, uid: str) -> bytes:
        text = text.replace(SAMPLE.encode(), name.encode())
        return text.replace(uid_of(self._booster).encode(), uid.encode())


def _fingerprinted(line: bytes, sample: Object, children: Iterable[Desired]) -> bytes:
    """Returns the line of a ModelServing with the fingerprints of a copy, as the controller writes.

    Args:
        line: with the fingerprints of the sample.
        sample: the ModelServing of the sample.
        children: the desired children of the copy.
    """
    observed: list[Object] = []
    before = annotations_of(sample)
    # The template that the server stored is accepted only if ours has its hash already.
    for _ in range(2):
        [serving] = (
            child.object
            for child in with_live_marks(children, observed)
            if child.resource is MODEL_SERVING
        )
        after = annotations_of(serving)
        for name in (POD_INPUTS, POD_TEMPLATE):
            line = line.replace(before[name].encode(), after[name].encode())
        before, observed = after, [orjson.loads(line)["object"]]
    return line


def write_down(folder: Path, objects: list[Object], size: int, pods: int) -> None:
    """Writes copies of the sample, and unrelated pods."""
    copies = Copies(objects, Context(Options()))
    plurals = {r.kind: r.plural for r in (MODEL_BOOSTER, *CHILDREN)}
    files = {
        kind: [(folder / f"{plural}.{which}.jsonl").open("wb") for which in ("all", "selected")]
        for kind, plural in plurals.items()
    }
    for number in range(size):
        for kind, line in copies.lines(number).items():
            for file in files[kind]:  # all of ours have the label of our selector
                file.write(line)
    for both in files.values():
        for file in both:
            file.close()
    with (folder / "pods.all.jsonl").open("wb") as file:
        for i in range(pods):
            metadata = {"name": f"p{i}", "namespace": NAMESPACE, "uid": f"p{i}"}
            metadata |= {"resourceVersion": str(i)}
            pod = {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": "Running"}}
            file.write(orjson.dumps({"type": "ADDED", "object": pod}) + b"\n")


def fed(folder: Path, sizes: Iterable[int]) -> list[dict[str, float]]:
    """Returns the memory of controllers for these numbers of copies, in the same order."""
    programs = [
        subprocess.Popen(
            [sys.executable, "-m", "bench._fed", str(folder), str(size)], stdout=subprocess.PIPE
        )
        for size in sizes
    ]
    texts = [program.communicate()[0] for program in programs]
    if any(program.returncode for program in programs):
        raise SystemExit("a controller that was fed broke off")
    return [json.loads(text) for text in texts]


def measure(sizes: list[int], pods: int) -> dict[str, Any]:
    with cluster() as plane:
        process = Process(plane)
        empty, objects, documents = asyncio.run(sample(plane, process))
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "credentials": "as in a pod" if process.is_pod else "a kubeconfig",
        "empty MiB": empty,
        "pods beside": pods,
        "rows": [],
    }
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "documents.json").write_text(json.dumps(documents))
        write_down(folder, objects, max(sizes, default=0), pods)
        all_sizes = sorted({0, *sizes})
        before: dict[str, float] = {}
        for size, facts in zip(all_sizes, fed(folder, all_sizes), strict=True):
            row = {"N": size, **facts, "peak / steady": facts["peak MiB"] / facts["MiB"]}
            if before:
                row["KiB each"] = 1024 * (row["MiB"] - before["MiB"]) / (size - before["N"])
            found["rows"].append(row)
            before = row
    return found


def broken(found: dict[str, Any]) -> list[str]:
    """Returns the limits that are broken."""
    faults = []
    if found["credentials"] == "as in a pod" and found["empty MiB"] > MOST_BASE_MIB:
        faults.append(f"{found['empty MiB']:.0f} MiB with nothing to do")
    for number, row in enumerate(found["rows"]):
        # The first fleet leaves the fixed part too.
        fixed = 1024 * MOST_KEPT_MIB / row["N"] if number == 1 else 0
        if row.get("KiB each", 0) > MOST_KIB_EACH + fixed:
            faults.append(f"{row['KiB each']:.1f} KiB for each ModelBooster of {row['N']}")
        if row["peak / steady"] > MOST_PEAK:
            faults.append(f"{row['peak / steady']:.2f} times as much while {row['N']} are listed")
        if row["pods"]:
            faults.append(f"{row['pods']:.0f} pods were told that nobody asked about")
        if row["writes"]:
            faults.append(f"{row['writes']} writes at a start with {row['N']}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fleet", type=int, nargs="*", default=[1000, 5000])
    parser.add_argument("--pods", type=int, default=20000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    found = measure(chosen.fleet, chosen.pods)
    for title, value in found.items():
        for line in value if isinstance(value, list) else [value]:
            cells = line.items() if isinstance(line, dict) else [(title, line)]
            print(
                ", ".join(f"{k} {v:.2f}" if isinstance(v, float) else f"{k} {v}" for k, v in cells)
            )
    return concluded(found, broken(found), chosen.json)


if __name__ == "__main__":
    sys.exit(main())
