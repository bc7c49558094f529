"""The differences between our children and those of kthena v0.1.0's own controller.

Each difference is a function that changes kthena's children into ours. All of them together must
give exactly our children, and leaving out any one must not.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import yaml

from app.apis.kinds import Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.values.meta import Object
from tests.golden.cases import booster

CASES = ("hugging-face-host-path", "scaled-by-cost-with-adapter-and-nodes", "disaggregated-nixl")
OPTIONS = Options(
    downloader_image="kthena/downloader:latest", runtime_image="kthena/runtime:latest"
)
"""kthena's built-in images."""

WORKLOAD = "workload.serving.volcano.sh"
SCRIPT = "examples/online_serving/multi-node-serving.sh"
KV_EVENTS = '{"enable_kv_cache_events":true,"publisher":"zmq","topic":"kv-events","endpoint":"tcp://*:5557"}'

Children = list[Object]


def revision(children: Children) -> None:
    """The label ``revision`` holds a hash of the spec; pods do not have it."""
    for child in children:
        child["metadata"]["labels"].pop(f"{WORKLOAD}/revision")
    for template in entries(children):
        template.get("metadata", {}).get("labels", {}).pop(f"{WORKLOAD}/revision", None)


def sixth_label(children: Children) -> None:
    """Children also have the label that kthena's documentation names."""
    for child in children:
        child["metadata"]["labels"]["registry.volcano.sh/managed-by"] = "registry.volcano.sh"


def owner_flags(children: Children) -> None:
    """Every child has an owner reference with ``controller: true``."""
    for child in children:
        child["metadata"]["ownerReferences"][0].update(controller=True, blockOwnerDeletion=True)


def scheduler(children: Children) -> None:
    """The scheduler is always named; kthena sends an empty string if it is not set."""
    for serving in servings(children):
        serving["spec"]["schedulerName"] = serving["spec"]["schedulerName"] or "default-scheduler"


def no_spread(children: Children) -> None:
    """No topologySpreadConstraints, because nothing reads them."""
    for serving in servings(children):
        serving["spec"].pop("topologySpreadConstraints", None)


def no_gang(children: Children) -> None:
    """No gangPolicy unless the user asks for it."""
    for serving in servings(children):
        serving["spec"]["template"].pop("gangPolicy")


def no_empty_followers(children: Children) -> None:
    """No template for followers if there are none."""
    for role in roles(children):
        if role["workerReplicas"] == 0:
            del role["workerTemplate"]


def entry_labels(children: Children) -> None:
    """Entry pods have labels, in disaggregated backends too."""
    for serving in servings(children):
        labels = serving["metadata"]["labels"]
        kept = {f"{WORKLOAD}/{name}" for name in ("model-name", "backend-name", "model-uid")}
        kept.add(f"{WORKLOAD}/managed-by")
        for template in entries([serving]):
            template["metadata"] = {"labels": {k: v for k, v in labels.items() if k in kept}}


def names(children: Children) -> None:
    """Containers and volumes have constant names, so they do not limit the user's names."""
    for pod in pods(children):
        for container in containers(pod):
            for ending in ("model-downloader", "vllm-worker"):
                if container["name"].endswith(ending):
                    container["name"] = ending.removeprefix("vllm-")
            if "lora-downloader" in container["name"]:
                container["name"] = container["name"][container["name"].index("lora") :]
            for mount in container.get("volumeMounts", []):
                mount["name"] = "weights"
        for volume in pod["volumes"]:
            volume["name"] = "weights"


def interpreter(children: Children) -> None:
    """``python3``, as in later releases of kthena."""
    for engine in engines(children):
        if engine["command"][0] == "python":
            engine["command"][0] = "python3"


def probes(children: Children) -> None:
    """Engines have two hours to load their model, are ready at once, and may be busy."""
    health = {"httpGet": {"path": "/health", "port": 8000, "scheme": "HTTP"}}
    for engine in engines(children):
        health["httpGet"]["port"] = engine["readinessProbe"]["httpGet"]["port"]
        for name, period, timeout, failures in (
            ("startupProbe", 10, 5, 720),
            ("readinessProbe", 5, 5, 3),
            ("livenessProbe", 10, 10, 6),
        ):
            engine[name] = {
                **json.loads(json.dumps(health)),
                "periodSeconds": period,
                "timeoutSeconds": timeout,
                "failureThreshold": failures,
            }


def sidecar_timeout(children: Children) -> None:
    """The readiness probe of the sidecar has a timeout of 5 s."""
    for pod in pods(children):
        for container in pod["containers"]:
            if container["name"] == "runtime" and "readinessProbe" in container:
                container["readinessProbe"]["timeoutSeconds"] = 5


def no_service_links(children: Children) -> None:
    """No variables for the Services of the namespace, such as VLLM_PORT."""
    for pod in pods(children):
        pod["enableServiceLinks"] = False


def folders(children: Children) -> None:
    """The folder of a download depends on revision and server as well as on its URI."""
    for serving in servings(children):
        for pod in pods([serving]):
            for download in pod.get("initContainers", []):
                uri = download["args"][1]
                chosen = "\0".join(
                    f"{entry['name']}={entry['value']}"
                    for entry in sorted(download.get("env", []), key=lambda entry: entry["name"])
                    if entry["name"] in ("ENDPOINT", "HF_ENDPOINT", "HF_REVISION")
                )
                if chosen:
                    text = json.dumps(pod).replace(_md5(uri), _md5(f"{uri}\0{chosen}"))
                    pod.update(json.loads(text))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def engine_env_from(children: Children) -> None:
    """Engines get ``envFrom``, too."""
    for pod in pods(children):
        sources = [c["envFrom"] for c in containers(pod) if "envFrom" in c]
        for container in pod["containers"]:
            if sources and container["name"] != "runtime":
                container["envFrom"] = sources[0]


def nixl_host(children: Children) -> None:
    """NIXL listens where other pods reach it."""
    address = {"fieldRef": {"fieldPath": "status.podIP"}}
    for pod in pods(children):
        for container in pod["containers"]:
            if '"kv_connector":"NixlConnector"' in "".join(pod["containers"][-1]["command"]):
                host = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "valueFrom": address}
                container["env"].append(host)


def no_ascend_variables(children: Children) -> None:
    """Variables of Ascend's communication library only for pods with its devices."""
    for pod in pods(children):
        for container in pod["containers"]:
            if "env" in container:
                entries = container["env"]
                container["env"] = [e for e in entries if not e["name"].startswith("HCCL_")]


def shared_memory(children: Children) -> None:
    """Engines share memory between their processes, as in later releases of kthena."""
    for pod in pods(children):
        pod["volumes"].append({"name": "dshm", "emptyDir": {"medium": "Memory"}})
        for container in pod["containers"]:
            if container["name"] != "runtime":
                container["volumeMounts"].append({"name": "dshm", "mountPath": "/dev/shm"})


def resources(children: Children) -> None:
    """Every container has ``resources``, even if empty, as a Go client would add the field."""
    for pod in pods(children):
        for container in containers(pod):
            container.setdefault("resources", {})


def nodes(children: Children) -> None:
    """Multi-node engines run the relative script, with the whole command quoted inside."""
    for pod in pods(children):
        for container in pod["containers"]:
            if container.get("command", [""])[0] != "bash":
                continue
            script, extra = container["command"][2], container["command"][3:]
            script = script.replace(f"/vllm-workspace/vllm/{SCRIPT}", SCRIPT)
            script = script.replace("python -m", "python3 -m")
            container["command"][2:] = [" ".join([script, *map(shlex.quote, extra)])]


def sidecar_sees_the_cache(children: Children) -> None:
    """The sidecar mounts the cache, so that the engine can read the adapters that it fetches."""
    for pod in pods(children):
        for container in pod["containers"]:
            if container["name"] == "runtime":
                mounts = pod["initContainers"][0]["volumeMounts"]
                container["volumeMounts"] = json.loads(json.dumps(mounts))


def credentials(children: Children) -> None:
    """The downloader gets all of ``env``; kthena passes on only two variables."""
    for serving in servings(children):
        if serving["metadata"]["name"] == "chat-a100":
            for pod in pods([serving]):
                pod["initContainers"][0]["env"] = [{"name": "RUNTIME_PORT", "value": "8900"}]


def prefill_sidecar(children: Children) -> None:
    """The sidecars of prefill and decode both get ``envFrom``."""
    for role in roles(children):
        if role["name"] == "prefill":
            pod = role["entryTemplate"]["spec"]
            pod["containers"][0]["envFrom"] = pod["initContainers"][0]["envFrom"]


def follower_scheduler(children: Children) -> None:
    """The follower template names the scheduler, because kthena v0.1.0 does not copy it."""
    for serving in servings(children):
        for role in roles([serving]):
            if "workerTemplate" in role:
                scheduler_name = serving["spec"]["schedulerName"]
                role["workerTemplate"]["spec"]["schedulerName"] = scheduler_name


def no_forced_nodes(children: Children) -> None:
    """Disaggregated pods are not forced onto Ascend nodes."""
    for role in roles(children):
        if role["name"] != "leader":
            del role["entryTemplate"]["spec"]["affinity"]


def drain(children: Children) -> None:
    """The drain script is our own, always ends, and is in every engine and follower."""
    for pod in pods(children):
        pod["terminationGracePeriodSeconds"] = 300
        for container in pod["containers"]:
            if container["name"] == "worker":
                pod["terminationGracePeriodSeconds"] = 330
            if container["name"] != "runtime":
                program = "python3" if container["name"] == "worker" else "/bin/sh"
                command = [program, "-c", "<DRAIN_SCRIPT>, bounded"]
                container["lifecycle"] = {"preStop": {"exec": {"command": command}}}


def selector(children: Children) -> None:
    """A ModelServer selects the entry pods of its own backend, not all pods of the model."""
    for server in of_kind(children, "ModelServer"):
        labels = server["spec"]["workloadSelector"]["matchLabels"]
        backend = f"{WORKLOAD}/backend-name"
        labels[backend] = server["metadata"]["labels"][backend]
        labels["modelserving.volcano.sh/entry"] = "true"


def connector(children: Children) -> None:
    """NIXL is supported, as in later releases of kthena."""
    for server in of_kind(children, "ModelServer"):
        if "pdGroup" in server["spec"]["workloadSelector"]:
            server["spec"]["kvConnector"] = {"type": "nixl"}


def behavior(children: Children) -> None:
    """The scaling behavior is complete, without panic mode, and scales down again."""
    slow = {"percent": 100, "period": "1m0s", "selectPolicy": "Or"}
    panic = {"percent": 0, "period": "0s", "panicThresholdPercent": 200, "panicModeHold": "0s"}
    for policy in of_kind(children, "AutoscalingPolicy"):
        policy["spec"]["behavior"] = {
            "scaleUp": {
                "stablePolicy": {**slow, "instances": 4, "stabilizationWindow": "0s"},
                "panicPolicy": panic,
            },
            "scaleDown": {**slow, "instances": 1, "percent": 20, "stabilizationWindow": "0s"},
        }


def amounts(children: Children) -> None:
    """Quantities are strings in canonical form, with the same value."""
    for policy in of_kind(children, "AutoscalingPolicy"):
        for metric in policy["spec"]["metrics"]:
            metric["targetValue"] = str(metric["targetValue"])


def metrics_port(children: Children) -> None:
    """The autoscaler gets the metrics port if it is not 8100."""
    for binding in of_kind(children, "AutoscalingPolicyBinding"):
        target = binding["spec"]["scalingConfiguration"]["target"]
        if target["targetRef"]["name"] == "chat-a100":
            target["metricEndpoint"]["port"] = 8900


def each_by_itself(children: Children) -> None:
    """A policy of the model scales each backend by itself; v0.1.0 never reads weighed targets."""
    found = [child for child in children if child["kind"].startswith("AutoscalingPolicy")]
    for child in found:
        children.remove(child)
    for policy, binding in zip(found[::2], found[1::2], strict=True):
        for param in binding["spec"]["optimizerConfiguration"]["params"]:
            name = param["target"]["targetRef"]["name"]
            single = {key: value for key, value in param.items() if key != "cost"}
            spec = {"policyRef": {"name": name}, "scalingConfiguration": single}
            for child in deepcopy((policy, {**binding, "spec": spec})):
                child["metadata"]["name"] = name
                child["metadata"]["labels"][f"{WORKLOAD}/backend-name"] = name.removeprefix("chat-")
                children.append(child)


def entries_asked(children: Children) -> None:
    """The autoscaler asks entry pods only, not their followers, which have no sidecar."""
    for binding in of_kind(children, "AutoscalingPolicyBinding"):
        target = binding["spec"]["scalingConfiguration"]["target"]
        target["additionalMatchLabels"]["modelserving.volcano.sh/entry"] = "true"


def engines_only_read(children: Children) -> None:
    """Engines cannot write to the cache."""
    for pod in pods(children):
        for container in pod["containers"]:
            for mount in container["volumeMounts"]:
                if container["name"] != "runtime" and mount["name"] == "weights":
                    mount["readOnly"] = True


def pull_policy(children: Children) -> None:
    """Kubernetes decides by the tag when it pulls an engine's image, for both types."""
    for engine in engines(children):
        engine.pop("imagePullPolicy", None)


def adapters_as_json(children: Children) -> None:
    """Adapters are JSON objects, which every vLLM release reads, whatever their paths contain."""
    for pod in pods(children):
        for container in pod["containers"]:
            command = container.get("command", [])
            container["command"] = [ADAPTER.sub(_as_json, word) for word in command]
            if not command:
                del container["command"]


def _as_json(match: re.Match[str]) -> str:
    text = json.dumps({"name": match[1], "path": match[2]}, separators=(",", ":"))
    return text if match.group() == match.string else shlex.quote(text)


ADAPTER = re.compile(r"\b(sql)=(/\S+)")
"""The adapter of the cases, as kthena writes it."""

Difference = Callable[[Children], None]

DIFFERENCES: tuple[Difference, ...] = (
    *(revision, sixth_label, owner_flags),
    *(scheduler, no_spread, no_gang, no_empty_followers),
    *(entry_labels, names, interpreter, probes, shared_memory, resources, nodes),
    *(sidecar_sees_the_cache, credentials, prefill_sidecar, follower_scheduler),
    *(no_forced_nodes, drain, selector, connector, each_by_itself, behavior, amounts),
    *(metrics_port, entries_asked),
    *(engines_only_read, pull_policy, adapters_as_json, sidecar_timeout, no_service_links),
    *(folders, engine_env_from, nixl_host, no_ascend_variables),
)


def of_kind(children: Children, kind: str) -> Iterator[Object]:
    return (child for child in children if child["kind"] == kind)


def servings(children: Children) -> Iterator[Object]:
    return of_kind(children, "ModelServing")


def roles(children: Children) -> Iterator[Object]:
    for serving in servings(children):
        yield from serving["spec"]["template"]["roles"]


def entries(children: Children) -> Iterator[Object]:
    return (role["entryTemplate"] for role in roles(children))


def pods(children: Children) -> Iterator[Object]:
    for role in roles(children):
        for part in ("entryTemplate", "workerTemplate"):
            spec = role.get(part, {}).get("spec", {})
            if spec.get("containers"):
                yield spec


def containers(pod: Object) -> Children:
    return [*pod.get("initContainers", []), *pod["containers"]]


def engines(children: Children) -> Iterator[Object]:
    for pod in pods(children):
        yield from (c for c in pod["containers"] if c["name"] in {"engine", "vllm"})


def theirs(case: str) -> Children:
    path = Path(__file__).parent / "upstream" / f"{case}.yaml"
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))


@cache
def ours(case: str) -> str:
    model = canonical(ModelBooster.model_validate(booster(case)))
    made = [child.object for child in desired_children(model, Profile.A, OPTIONS)]
    children = deepcopy(made)  # children share parts with those of later conversions
    for child in children:
        child["metadata"]["labels"].pop(f"{WORKLOAD}/revision")
    for pod in pods(children):
        for container in pod["containers"]:
            if "lifecycle" in container:
                script = container["lifecycle"]["preStop"]["exec"]["command"]
                script[2] = "<DRAIN_SCRIPT>, bounded"
    return as_text(children)


def changed(case: str, differences: tuple[Difference, ...]) -> str:
    children = theirs(case)
    for difference in differences:
        difference(children)
    return as_text(children)


def as_text(children: Children) -> str:
    """Returns the children sorted by kind and name, with sorted fields."""
    ordered = sorted(children, key=lambda child: (child["kind"], child["metadata"]["name"]))
    return json.dumps(ordered, sort_keys=True, indent=1)


@pytest.mark.parametrize("case", CASES)
def test_our_children_are_upstreams_with_the_listed_differences(case: str) -> None:
    assert ours(case) == changed(case, DIFFERENCES)


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.__name__)
def test_each_listed_difference_exists(difference: Difference) -> None:
    others = tuple(other for other in DIFFERENCES if other is not difference)

    assert any(ours(case) != attempt(case, others) for case in CASES)


def attempt(case: str, differences: tuple[Difference, ...]) -> str:
    try:
        return changed(case, differences)
    except KeyError:
        return "one of them is what another starts from"
