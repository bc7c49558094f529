"""The demo, scene by scene."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

from app.apis.kinds import MODEL_SERVING
from tests.demo.stage import Stage
from tests.e2e.installation import HELM_ARGUMENTS, NAMESPACE
from tests.world import Admin

CONTROLLER = f"system:serviceaccount:{NAMESPACE}:model-booster-controller"
WRITES = {"create", "update", "patch", "delete"}
READS = {"get", "list"}
KINDS = "modelservings,modelservers,modelroutes"


def play(stage: Stage, admin: Admin, folder: Path) -> None:
    """Plays all scenes.

    Args:
        stage: prints commands and output.
        admin: writes statuses in place of the serving controller.
        folder: holds the control plane's audit log.

    Raises:
        NotAsExpected: a command behaved unexpectedly; the remaining scenes are not played.
    """
    scenes: tuple[Callable[[Stage, Admin, Path], None], ...] = (
        _install,
        _serve,
        _refuse,
        _edit,
        _repair,
        _delete,
    )
    for scene in scenes:
        scene(stage, admin, folder)
    stage.note("")
    stage.note(f"The demo took {stage.seconds:.0f} s; every command behaved as expected.")


def _install(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.run("kubectl version", r"Server Version: v1\.")
    stage.chapter("Install the chart: CRD, webhook and controller, each with its own permissions")
    stage.note("This cluster has no nodes. The pods' programs run on this machine,")
    stage.note("with the environment and the service account tokens of the pods.")
    stage.run(shlex.join(["helm", *HELM_ARGUMENTS, "--wait"]), "STATUS: deployed", quiet=True)
    stage.run(f"kubectl get pods -n {NAMESPACE}", r"webhook\S+ +1/1 +Running")


def _serve(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.chapter("Serve a model")
    stage.run("kubectl apply -f examples/one-backend.yaml", r"qwen created")
    stage.run("kubectl wait mb/qwen --for=condition=Initialized", "condition met")
    stage.run(f"kubectl get {KINDS}", r"modelserving\S+/qwen-cpu", r"modelroute\S+/qwen ")
    stage.run("kubectl get mb", r"qwen +False +ModelProcessing +False")
    stage.note("kthena's serving controller would now start the engine's pods.")
    stage.note("The demo plays its part and reports that they are ready.")
    admin.serve(MODEL_SERVING, "qwen-cpu")
    stage.run("kubectl wait mb/qwen --for=condition=Ready", "condition met")
    stage.run("kubectl get mb", r"qwen +True +ModelAvailable +False")
    stage.run("kubectl events --for mb/qwen", "ChildrenCreated", "ModelAvailable", seconds=15)
    writes, reads = _asked(folder)
    stage.note(f"The API server's audit log shows {writes} writes and {reads} reads for this.")
    stage.expect((writes, reads) == (5, 0), "expected 5 writes and no read")


def _refuse(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.chapter("Reject what cannot work, and say how to fix it")
    for file, said in (
        ("panic-policy", r"behavior\.scaleUp\.panicPolicy: Forbidden: panicPolicy is not supp"),
        ("name-too-long", r"backends\[0\]\.name: .* has 62 characters, at most 50 are allowed"),
        ("route-taken", r'spec\.name: Duplicate value: "qwen": modelName is already routed'),
        ("min-above-max", r"minReplicas: .* minReplicas cannot be greater than maxReplicas"),
    ):
        stage.run(f"kubectl apply -f examples/refused/{file}.yaml", "is invalid: .*" + said, code=1)
    stage.note("The same check runs without a cluster:")
    stage.run(
        "model-booster validate examples/refused/min-above-max.yaml",
        "minReplicas cannot be greater than maxReplicas",
        code=1,
    )


def _edit(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.chapter("Edit the ModelBooster; its children follow")
    edit = [
        {
            "op": "replace",
            "path": "/spec/backends/0/workers/0/config/max-model-len",
            "value": 4096,
        }
    ]
    stage.run(f"kubectl patch mb/qwen --type=json -p '{json.dumps(edit)}'", "qwen patched")
    stage.run("kubectl wait mb/qwen --for=condition=Ready=false", "condition met")
    command = "{.spec.template.roles[0].entryTemplate.spec.containers[?(@.name=='engine')].command}"
    stage.run(
        f'kubectl get modelserving/qwen-cpu -o jsonpath="{command}"',
        r'"--max-model-len","4096"',
    )
    admin.serve(MODEL_SERVING, "qwen-cpu")
    stage.run("kubectl wait mb/qwen --for=condition=Ready", "condition met")


def _repair(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.chapter("Delete a child by hand; it is recreated")
    stage.run("kubectl delete modelroute/qwen", "deleted")
    stage.run("kubectl wait modelroute/qwen --for=create", "condition met")


def _delete(stage: Stage, admin: Admin, folder: Path) -> None:
    stage.chapter("Delete the ModelBooster; its children are deleted too")
    stage.run("kubectl delete mb/qwen", "deleted")
    stage.run(f"kubectl wait {KINDS} --all --for=delete --timeout=30s")
    stage.run(f"kubectl get mb,{KINDS}", "No resources found")


def _asked(folder: Path) -> tuple[int, int]:
    """Returns how many writes and reads the controller has sent for the model in `default`."""
    events = map(json.loads, (folder / "audit.log").read_text().splitlines())
    verbs = [
        event["verb"]
        for event in events
        if event["stage"] != "RequestReceived"  # else writes count twice
        and event["user"].get("username") == CONTROLLER
        and event.get("objectRef", {}).get("namespace") == "default"
        and event["objectRef"]["resource"] != "events"
    ]
    return sum(verb in WRITES for verb in verbs), sum(verb in READS for verb in verbs)
