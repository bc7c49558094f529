"""Which Jobs download models ahead of the pods, and what is said of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml

from app.apis.kinds import Profile
from app.convert.options import Options
from app.convert.pods.inputs import PodInputs
from app.convert.warmup import model_hash, warmup_inputs, warmup_job
from app.validation import Context, validate
from app.values.meta import Object
from controller.status.downloads import Progress
from controller.status.pod_records import booster_uid
from controller.status.readiness import BackendReport, Readiness
from controller.status.warmup_records import (
    job_facts,
    job_record,
    node_facts,
    node_record,
    warmup_pod_record,
)
from controller.warmup.nodes import chosen_nodes
from controller.warmup.planner import MAX_RUNNING, RETRY_SECONDS, WarmupPlan, plan_warmup
from controller.warmup.text import failure_reason, progress_message, waiting_message
from controller.warmup.warmth import WarmthOfBackends
from modelbooster.dashboard.fleet import fleet_of
from modelbooster.observe.overview import Overview, Standing
from modelbooster.observe.reading import Family
from modelbooster.observe.tree import Row, rows_of
from modelbooster.observe.verdict import verdict_of
from tests.builders import UID, backend, booster_object, lora, model, stored_object, worker
from tests.golden.cases import FOLDER

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
POOL = {"pool": "gpu"}
TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def inputs(profile: Profile = Profile.B, image: str = "dl:1", **fields: Any) -> PodInputs:
    given = {"cacheURI": "hostpath:///mnt/c", "cacheWarmup": {"nodeSelector": POOL}, **fields}
    form = model("m", backend("b", **given))
    found = warmup_inputs(form, form.backends[0], profile, Options(downloader_image=image))
    assert found is not None
    return found


def node(name: str, *taints: Object, unschedulable: bool = False, **labels: str) -> Object:
    metadata = {"name": name, "uid": name, "resourceVersion": "1", "labels": {**POOL, **labels}}
    spec = {"taints": [*taints], "unschedulable": unschedulable}
    return node_record({"metadata": metadata, "spec": spec})


def job(of: PodInputs, on: str, phase: str = "", ended: datetime = NOW, **metadata: str) -> Object:
    """The record of a stored Job."""
    made = warmup_job(of, on)
    name = made["metadata"]["name"]
    about = {"uid": f"uid-{name}", "resourceVersion": "1", **metadata}
    time = ended.strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions = [{"type": phase, "status": "True", "lastTransitionTime": time}] if phase else []
    stored = {
        **made,
        "metadata": {**made["metadata"], **about},
        "status": {"conditions": conditions, "failed": int(phase == "Failed")},
    }
    return job_record(stored)


def plan(of: PodInputs, jobs: list[Object], *nodes: Object, now: datetime = NOW) -> WarmupPlan:
    return plan_warmup(of, jobs, nodes, now)


def names(jobs: Any) -> list[str]:
    return [each["metadata"]["name"] for each in jobs]


@pytest.mark.parametrize(
    ("taint", "toleration", "is_chosen"),
    [
        (TAINT, None, False),
        (TAINT, {"operator": "Exists"}, True),
        (TAINT, {"key": "gpu", "operator": "Exists"}, True),
        (TAINT, {"key": "gpu", "value": "yes", "effect": "NoSchedule"}, True),
        (TAINT, {"key": "gpu", "value": "no"}, False),
        (TAINT, {"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        (TAINT, {"key": "other", "operator": "Exists"}, False),
        ({**TAINT, "effect": "PreferNoSchedule"}, None, True),
    ],
)
def test_tainted_nodes_need_a_toleration(
    taint: Object, toleration: Object | None, *, is_chosen: bool
) -> None:
    found = chosen_nodes([node("a", taint)], POOL, [toleration] if toleration else [])
    assert found.schedulable == (("a",) if is_chosen else ())


def test_nodes_are_chosen_by_label_and_those_that_are_cordoned_wait() -> None:
    nodes = [node("b"), node("a"), node("c", unschedulable=True), node("d", pool="cpu")]
    found = chosen_nodes(nodes, POOL, [])
    assert (found.schedulable, found.others) == (("a", "b"), frozenset({"c"}))


def test_tolerations_of_workers_count_too() -> None:
    tolerations = [{"key": "gpu", "operator": "Exists"}]
    own = {"nodeSelector": POOL, "tolerations": [{"key": "own", "operator": "Exists"}]}
    of = inputs(workers=[worker(tolerations=tolerations)], cacheWarmup=own)
    assert names(plan(of, [], node("a", TAINT)).create)
    pod = warmup_job(of, "a")["spec"]["template"]["spec"]
    assert [each["key"] for each in pod["tolerations"]] == ["gpu", "own"]


def test_heartbeats_of_nodes_are_no_news() -> None:
    before, after = node("a"), node("a")
    after["metadata"]["resourceVersion"] = "2"
    assert node_facts(before) == node_facts(after)
    assert node_facts(before) != node_facts(node("a", TAINT))
    assert node_facts(before) != node_facts(node("a", zone="1"))


def test_each_node_gets_a_job_and_a_node_that_is_gone_loses_it() -> None:
    of = inputs()
    done, gone = job(of, "a", "Complete"), job(of, "x", "Complete")
    found = plan(of, [done, gone], node("a"), node("b"))
    assert names(found.create) == names([warmup_job(of, "b")])
    assert names(found.delete) == names([gone])
    assert (found.desired, found.ready, found.running, found.is_warm) == (2, 1, ("b",), False)


def test_a_cordoned_node_keeps_its_job_and_is_not_waited_for() -> None:
    of = inputs()
    found = plan(of, [job(of, "a", "Complete"), job(of, "b")], node("a"), node("b", TAINT))
    assert (found.create, found.delete, found.is_warm) == ((), (), True)


def test_a_claim_gets_one_job_without_a_node() -> None:
    of = inputs(cacheURI="pvc://models/team", cacheWarmup={"nodeSelector": POOL})
    (made,) = plan(of, []).create
    pod = made["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == POOL
    assert "affinity" not in pod
    assert pod["containers"][0]["volumeMounts"][0]["subPath"] == "team"
    assert plan(of, [job(of, "", "Complete")]).is_warm


def test_a_complete_job_outlives_another_image_but_no_other_model() -> None:
    of = inputs()
    done = job(of, "a", "Complete")
    assert plan(inputs(image="dl:2"), [done], node("a")).is_warm
    changed = inputs(env=[{"name": "HF_REVISION", "value": "v2"}])
    found = plan(changed, [done], node("a"))
    assert names(found.delete) == names([done])
    assert names(found.create) == names([warmup_job(changed, "a")])


@pytest.mark.parametrize("phase", ["", "Failed"])
def test_an_unfinished_job_is_replaced_if_its_template_changes(phase: str) -> None:
    old, of = job(inputs(), "a", phase), inputs(image="dl:2")
    found = plan(of, [old], node("a"))
    assert names(found.delete) == names([old])
    assert names(found.create) == names([warmup_job(of, "a")])


def test_a_failed_job_is_tried_again_after_a_while() -> None:
    of = inputs()
    failed = job(of, "a", "Failed", NOW - timedelta(seconds=RETRY_SECONDS - 60))
    found = plan(of, [failed], node("a"))
    assert (found.create, found.delete, found.failed, found.wait) == ((), (), (failed,), 60)
    later = plan(of, [failed], node("a"), now=NOW + timedelta(seconds=60))
    assert (names(later.delete), later.failed, later.wait) == (names([failed]), (), None)


def test_a_job_that_is_deleted_is_waited_for() -> None:
    of = inputs()
    going = job(of, "a", "Complete", deletionTimestamp="2026-11-29T12:00:00Z")
    found = plan(of, [going], node("a"))
    assert (found.create, found.delete, found.is_warm) == ((), (), False)
    assert job_facts(going) != job_facts(job(of, "a", "Complete"))


def test_few_jobs_of_many_run_at_a_time() -> None:
    of = inputs()
    nodes = [node(f"n{number:03}") for number in range(100)]
    running = [job(of, "n000"), job(of, "n001")]
    found = plan(of, running, *nodes)
    assert len(found.create) == MAX_RUNNING - 2
    assert len(found.running) == 100


def test_without_a_node_nothing_waits() -> None:
    """Nodes of a pool that scales from zero are created for pods only."""
    found = plan(inputs(), [])
    assert found.is_warm
    assert "no node" in progress_message(found, [], "team")


def test_a_hash_tells_models_apart_not_images() -> None:
    of = inputs(loraAdapters=[lora("a")])
    pods = [warmup_job(of, "a")["spec"]["template"]["spec"]]
    other = [warmup_job(inputs(image="dl:2", loraAdapters=[lora("a")]), "b")["spec"]["template"]]
    assert model_hash(pods) == model_hash([each["spec"] for each in other])
    assert len(pods[0]["initContainers"]) == len(pods[0]["containers"]) == 1
    without = [warmup_job(inputs(), "a")["spec"]["template"]["spec"]]
    assert model_hash(pods) != model_hash(without)


def test_the_words_of_the_downloader_are_told() -> None:
    of = inputs()
    failed = job(of, "a", "Failed")
    told = {
        "result": "failed",
        "reason": "Gated",
        "message": "org/m is gated",
        "next": "accept the licence",
    }
    ended = {"exitCode": 77, "message": json.dumps(told)}
    pods = [
        {
            "metadata": {"creationTimestamp": f"2026-11-29T12:00:0{second}Z"},
            "status": {"containerStatuses": [{"state": {"terminated": state}}]},
        }
        for second, state in enumerate([{"exitCode": 1, "message": "first"}, ended])
    ]
    reason = failure_reason(failed, pods)
    assert reason == "org/m is gated; accept the licence"
    assert failure_reason(failed, pods[:1]) == "first"
    assert failure_reason({**failed, "message": "too late"}, []) == "too late"

    found = plan(of, [failed], node("a"), node("b"))
    message = progress_message(found, [reason], "team")
    (name,) = names([failed])
    assert message == (
        f"the download on node a failed: {reason}; it is tried again 30 min after the failure; "
        f"now: kubectl delete job -n team {name}; downloading to b"
    )
    waiting = waiting_message(found, message, is_new=False)
    assert waiting == (
        f"its pods get the new model once the cache is warm (0/2 done): {message}; not to wait, "
        "set cacheWarmup.policy: Background"
    )


@pytest.mark.parametrize(
    ("warmup", "reason", "ready", "status"),
    [
        ({"desired": 2, "ready": 2, "model": "a"}, "ModelCreating", "2/2", "Warm"),
        ({"desired": 2, "ready": 1, "message": "m"}, "WaitingForCache", "1/2", "Downloading"),
        (
            {"desired": 2, "ready": 1, "failed": 1, "message": "m"},
            "CacheWarmupFailed",
            "1/2",
            "Failed",
        ),
    ],
)
def test_status_shows_the_caches(warmup: Object, reason: str, ready: str, status: str) -> None:
    booster = stored_object("m", backend("b"))
    conditions = [
        {"type": "Initialized", "status": "True", "reason": reason, "message": "b waits: m"},
        {"type": "Active", "status": "False", "reason": "ModelProcessing", "message": "not ready"},
    ]
    backends = [{"name": "b", "ready": False, "replicas": 0, "cacheWarmup": warmup}]
    generation = booster["metadata"].get("generation", 0)
    booster["status"] = {
        "observedGeneration": generation,
        "conditions": conditions,
        "backendStatuses": backends,
    }
    family = Family(booster)
    verdict = verdict_of(family, {}, NOW)
    told = [found.why for found in verdict.explanations]
    assert ("pods wait for their cache: b waits: m" in told) == (status != "Warm")
    row = rows_of(family, {}, verdict, NOW)[1]
    assert (row.label, row.ready, row.status, row.detail) == ("Cache/b", ready, status, "")


def pod_of(job: Object, container: str, state: Object, **metadata: Any) -> Object:
    """A pod of a Job with an adapter; one of its containers has a state."""
    about = {
        "namespace": "n",
        "name": "p",
        "uid": "p",
        "resourceVersion": "1",
        "labels": {"job-name": job["metadata"]["name"]},
    }
    spec = warmup_job(inputs(loraAdapters=[lora("a")]), "a")["spec"]["template"]["spec"]
    status = {"name": container, "state": state, "restartCount": 0}
    is_first = container in [each["name"] for each in spec["initContainers"]]
    return {
        "metadata": {**about, **metadata},
        "spec": spec,
        "status": {"initContainerStatuses" if is_first else "containerStatuses": [status]},
    }


def test_a_pod_of_a_job_tells_only_its_download() -> None:
    own = job(inputs(), "a")
    model_first, adapter_last = "model-downloader", "lora-downloader-0"
    names = [
        each["name"]
        for kind in ("initContainers", "containers")
        for each in pod_of(own, model_first, {})["spec"][kind]
    ]
    assert names[-2:] == [model_first, adapter_last]
    for container in (model_first, adapter_last):
        record = warmup_pod_record(pod_of(own, container, {"running": {}}), own)
        assert (record["download"].container, record["download"].is_running) == (container, True)
        assert record["metadata"]["labels"] == own["metadata"]["labels"]
        assert (record["problem"], record["ready"]) == (None, False)
    others: list[Object] = [
        {"terminated": {"exitCode": 0}},
        {"terminated": {"exitCode": 1}},
        {"waiting": {}},
    ]
    for state in others:
        assert warmup_pod_record(pod_of(own, adapter_last, state), own)["download"] is None
    going = pod_of(own, adapter_last, {"running": {}}, deletionTimestamp="2026-11-29T12:00:00Z")
    assert warmup_pod_record(going, own)["download"] is None
    # How far it is stays while the pod changes otherwise.
    running = pod_of(own, model_first, {"running": {}})
    before = warmup_pod_record(running, own)
    before["download"].progress = Progress(1, 4)
    assert warmup_pod_record(running, own, before)["download"].progress == Progress(1, 4)


def test_a_pod_of_an_unknown_job_belongs_to_no_modelbooster() -> None:
    record = warmup_pod_record(
        pod_of(job(inputs(), "a"), "model-downloader", {"running": {}}), None
    )
    assert booster_uid(record) == ""


def test_the_download_of_a_pod_that_serves_comes_first() -> None:
    of = inputs()
    found = WarmthOfBackends({}, {})
    found.add(of, plan(of, [job(of, "a")], node("a")), "downloading to a", {"pod": "job"})
    warmth = found.result(None)
    (told,) = warmth.told([BackendReport("b", "m-b", Readiness.NO)])
    assert told.as_stored()["download"] == {"pod": "job"}
    (told,) = warmth.told([BackendReport("b", "m-b", Readiness.NO, download={"pod": "serves"})])
    assert told.as_stored()["download"] == {"pod": "serves"}


def test_status_shows_a_bar_for_the_download_of_a_job() -> None:
    booster = stored_object("m", backend("b"))
    download = {
        "phase": "Downloading",
        "pod": "m-b-warm-1-x",
        "pods": 2,
        "bytesDone": 12_300_000_000,
        "bytesTotal": 40_000_000_000,
        "bytesPerSecond": 310_000_000,
        "secondsLeft": 89,
    }
    entry = {
        "name": "b",
        "ready": False,
        "replicas": 0,
        "cacheWarmup": {"desired": 2, "ready": 0, "message": "downloading to a, b"},
        "download": download,
    }
    booster["status"] = {"conditions": [], "backendStatuses": [entry]}

    def standing(**fields: Any) -> Standing:
        family = Family(booster, **fields)
        return Standing(family, {}, verdict_of(family, {}, NOW))

    def rows(**fields: Any) -> list[Row]:
        found = standing(**fields)
        return rows_of(found.family, found.reports, found.verdict, NOW)[1:]

    page = fleet_of(Overview((standing(),), (), NOW), "cluster")
    assert page["models"][0]["download"] == 12.3 / 40
    cache, pod = rows()
    assert (cache.label, pod.label, pod.lasts) == ("Cache/b", "Pod/m-b-warm-1-x", (True, True))
    assert (pod.status, pod.done) == ("31%", 12.3 / 40)
    assert pod.detail == (
        "12.3 GB of 40 GB, 310 MB/s, about 1 min 29 s left (of 2 pods that download)"
    )
    # A pod of the ModelServing shows its download itself.
    assert len(rows(pods={"m-b": [{"metadata": {"name": "m-b-warm-1-x"}}]})) == 1
    assert len(rows(has_pods_read=False)) == 1


def test_names_of_jobs_fit() -> None:
    long = "m" * 30
    form = model(long, backend("b" * 20, cacheURI="pvc://c", cacheWarmup={}))
    of = warmup_inputs(form, form.backends[0], Profile.B, Options())
    assert of is not None
    name = warmup_job(of)["metadata"]["name"]
    assert len(name) == 63
    assert name.startswith(f"{long}-bbbb")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"cacheURI": None}, ": Forbidden: there is no cache to warm up"),
        (
            {"cacheURI": "pvc://m", "modelURI": "pvc://m/x"},
            ": Forbidden: nothing is downloaded",
        ),
        ({"cacheWarmup": {}}, ".nodeSelector: Required value: labels of the nodes"),
        ({"cacheWarmup": {"nodeSelector": {}}}, ".nodeSelector: Required value"),
        (
            {"cacheWarmup": {"nodeSelector": {"a b": "c"}}},
            '.nodeSelector: Invalid value: "a b"',
        ),
        (
            {"cacheWarmup": {"nodeSelector": POOL, "tolerations": [{"operator": "Equal"}]}},
            ".tolerations[0].operator: Invalid value",
        ),
        (
            {"cacheWarmup": {"nodeSelector": POOL, "policy": "Never"}},
            ".policy: Unsupported value",
        ),
        (
            {"cacheWarmup": {"nodeSelector": POOL, "activeDeadlineSeconds": 5}},
            ".activeDeadlineSeconds: Invalid value",
        ),
    ],
)
def test_what_cannot_work_is_refused(fields: Object, fault: str) -> None:
    given = {"cacheURI": "hostpath:///mnt/c", "cacheWarmup": {"nodeSelector": POOL}, **fields}
    written = booster_object("m", backend("b", **given), metadata={"uid": UID})
    (found,) = validate(written, Context()).faults
    assert str(found).startswith(f"spec.backends[0].cacheWarmup{fault}")


def test_golden_job() -> None:
    """The whole Job, for a node; kthena's releases do not matter to it."""
    of = inputs(
        image="registry.example.com/model-booster-downloader:1.0.0",
        env=[{"name": "HF_REVISION", "value": "v1"}],
        envFrom=[{"secretRef": {"name": "hub"}}],
        loraAdapters=[lora("style")],
    )
    path = FOLDER.parent / "warmup-job.yaml"
    assert yaml.safe_load(path.read_text()) == warmup_job(of, "node-1")
    for profile in Profile:
        assert warmup_job(inputs(profile), "node-1") == warmup_job(inputs(), "node-1")
