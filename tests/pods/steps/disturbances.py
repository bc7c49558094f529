"""Pods that are replaced, killed and frozen while admissions come in."""

from __future__ import annotations

import time

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.pods.stage import ROOT, SYSTEM, Stage, StepFailed, eventually
from tests.pods.steps import model
from tests.upgrade.serving import POD

LEASE_SECONDS = 15
"""After so long without a renewal another controller leads; the chart's default."""

OBSERVE_SECONDS = 2
ENDPOINT_SECONDS = 4.0
"""How long it may take on a busy machine until the API server asks a pod no more that is not ready:
the kubelet reports it, the endpoints change, and the API server reads them."""

KILLED_SECONDS = 1 + ENDPOINT_SECONDS
"""How long a killed webhook may stay in its Service. The kubelet looks for ended containers every
second."""


def probe_seconds() -> float:
    """Returns how long a webhook that does not answer may stay in its Service.

    That is the longest time that the readiness probe of the chart needs to fail, and the time until
    the API server knows of it.
    """
    values = yaml.safe_load((ROOT / "charts/model-booster/values.yaml").read_text())
    probe = values["webhook"]["readinessProbe"]
    tries = probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"])
    return float(tries) + ENDPOINT_SECONDS


def rolling_restart(stage: Stage) -> None:
    """Both Deployments are rolled; the old pods drain before the step ends."""
    before = model.pods(stage)
    deployments = ("deployment/model-booster-webhook", "deployment/model-booster-controller")
    old = {pod["metadata"]["name"] for pod in stage.system.list(POD)}
    stage.kubectl("rollout", "restart", *deployments, "-n", SYSTEM)
    for each in deployments:
        stage.kubectl("rollout", "status", each, "-n", SYSTEM, "--timeout=240s")

    def is_drained() -> bool:
        return not old & {pod["metadata"]["name"] for pod in stage.system.list(POD)}

    eventually(is_drained, "the old pods have ended")
    stage.until_leader()
    model.check_acts(stage)
    model.check_unchanged(stage, before)


def deleted_webhook(stage: Stage) -> None:
    """The pod of the busiest webhook is deleted; another takes its place while it drains."""
    stage.kubectl("delete", "pod", _busiest(stage), "-n", SYSTEM, "--wait=false")
    _until_ready(stage)


def killed_process(stage: Stage) -> None:
    """The process that serves the busiest webhook is killed; its parent starts another.

    What it had in hand is lost. All else waits for the new process.
    """
    pod = _busiest(stage)
    before, first = stage.restarts(pod), stage.serving_process(pod)
    stage.kill(first)
    eventually(lambda: stage.serving_process(pod) != first, f"{pod} has a new process")
    eventually(lambda: _restarts(stage, pod) == 1, f"{pod} counts the restart")
    eventually(lambda: pod in ready_names(stage, "webhook"), f"{pod} is ready again")
    if stage.restarts(pod) != before:
        raise StepFailed(f"the container of {pod} was started again, not only its process")


def killed_webhook(stage: Stage) -> None:
    """The container of the busiest webhook is killed, and starts again.

    The API server asks nobody else for a review whose connection breaks, so what the killed process
    had in hand is lost, and what is sent to it until its Service leaves it out.
    """
    pod = _busiest(stage)
    before = stage.restarts(pod)
    stage.kill(stage.first_process(pod))
    eventually(lambda: stage.restarts(pod) > before, f"{pod} is started again")
    eventually(lambda: pod in ready_names(stage, "webhook"), f"{pod} is ready again")


def killed_leader(stage: Stage) -> None:
    """The process of the leader is killed; a controller leads and acts again."""
    pods, leader = model.pods(stage), stage.until_leader()
    begin = time.monotonic()
    stage.kill(stage.first_process(leader))
    model.check_acts(stage)
    _check_in_time(begin)
    eventually(lambda: leader in ready_names(stage, "controller"), f"{leader} is ready again")
    model.check_unchanged(stage, pods)


def frozen_leader(stage: Stage) -> None:
    """The leader stops in the middle of its work; another leads. Awake again, it leads no more."""
    pods, leader = model.pods(stage), stage.until_leader()
    begin = time.monotonic()
    with stage.frozen(leader):
        model.check_acts(stage)
        _check_in_time(begin)
        new = stage.until_leader(other_than=leader)
    # It finds that its lease is another's, and ends; its container starts again.
    eventually(lambda: leader in ready_names(stage, "controller"), f"{leader} is ready again")
    if stage.leader() != new:
        raise StepFailed(f"{stage.leader()} leads after {leader} awoke, not {new}")
    model.check_acts(stage)
    model.check_unchanged(stage, pods)


def frozen_webhook(stage: Stage) -> None:
    """The busiest webhook stops in its work; its Service leaves it out in its probe's time."""
    pod = _busiest(stage)
    with stage.frozen(pod):
        eventually(lambda: pod not in ready_names(stage, "webhook"), f"{pod} is not ready")
        # The others answer everything now.
        time.sleep(OBSERVE_SECONDS)
    eventually(lambda: pod in ready_names(stage, "webhook"), f"{pod} is ready again")


def ready_names(stage: Stage, component: str) -> list[str]:
    """Returns the names of a component's pods that are ready."""
    return [
        pod["metadata"]["name"]
        for pod in stage.pods(component)
        if any(
            (c["type"], c["status"]) == ("Ready", "True")
            for c in pod["status"].get("conditions", ())
        )
    ]


def _busiest(stage: Stage) -> str:
    """Waits until all webhooks are ready; returns the pod that the API server asks most just now.

    With few requests at a time it keeps a connection to one of them.
    """
    _until_ready(stage)
    addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in stage.pods("webhook")}
    before = {name: _reviews(address) for name, address in addresses.items()}
    time.sleep(OBSERVE_SECONDS)
    asked = {name: _reviews(address) - before[name] for name, address in addresses.items()}
    name: str = max(asked, key=lambda name: asked[name])
    return name


def _until_ready(stage: Stage) -> None:
    eventually(
        lambda: len(ready_names(stage, "webhook")) == len(stage.pods("webhook")) >= 2,
        "all pods of the webhook are ready",
    )


def _reviews(address: str) -> float:
    """Returns how many admission reviews a webhook has answered."""
    return _metric(address, "controller_runtime_webhook_requests_total")


def _restarts(stage: Stage, pod: str) -> float:
    """Returns how often the process of a webhook was started again; 0 if it does not answer."""
    address = stage.system.until(POD, pod)["status"]["podIP"]
    try:
        return _metric(address, "modelbooster_webhook_restarts_total")
    except httpx.TransportError:
        return 0


def _metric(address: str, name: str) -> float:
    """Returns the sum of a metric of a pod over its labels."""
    text = httpx.get(f"http://{address}:8080/metrics", timeout=10, trust_env=False).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def _check_in_time(begin: float) -> None:
    """Checks that another controller acts soon after the lease has run out.

    Raises:
        StepFailed: it took longer; the machine may be three times slower than needed.
    """
    seconds = time.monotonic() - begin
    if seconds > 3 * LEASE_SECONDS:
        raise StepFailed(f"nobody acted for {seconds:.0f} s; the lease runs {LEASE_SECONDS} s")
