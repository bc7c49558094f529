"""Pods that last: probes, drain, environment and resources of the pods of engines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from app.apis.kinds import Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, stored_object, worker

NIXL = '{"kv_connector":"NixlConnector","kv_role":"kv_both"}'
PAIR: Object = {
    "workers": [
        worker("prefill", config={"kv-transfer-config": NIXL}),
        worker("decode", config={"kv-transfer-config": NIXL}),
    ]
}
SHAPES = {
    "leader": backend(),
    "nodes": backend(workers=[worker(pods=2)]),
    "nodes without Ray": backend(workers=[worker(pods=2, image="vllm/vllm-openai:v0.33.0")]),
    "prefill and decode": disaggregated(),
}
STARTUP = "workload.serving.volcano.sh/startup-seconds"


def pods(*own: Object, options: Options | None = None, **metadata: str) -> list[Object]:
    """Returns the specs of all pod templates of a ModelBooster."""
    given = {"annotations": metadata} if metadata else None
    model = canonical(ModelBooster.model_validate(booster_object("demo", *own, metadata=given)))
    found = []
    for child in desired_children(model, Profile.B, options or Options()):
        if child.object["kind"] == "ModelServing":
            for role in child.object["spec"]["template"]["roles"]:
                parts = (role.get(name) for name in ("entryTemplate", "workerTemplate"))
                found += [part["spec"] for part in parts if part]
    return found


def engines(*own: Object, **more: Any) -> Iterator[Object]:
    """Yields the containers of engines: leaders, prefill, decode and followers."""
    for pod in pods(*own, **more):
        yield from (each for each in pod["containers"] if each["name"] != "runtime")


def env(container: Object) -> Object:
    return {entry["name"]: entry for entry in container["env"]}


@pytest.mark.parametrize("own", SHAPES.values(), ids=SHAPES)
def test_services_set_no_variables(own: Object) -> None:
    """A Service called ``vllm`` would set VLLM_PORT to a URL, one called ``redis`` REDIS_PORT."""
    assert [pod["enableServiceLinks"] for pod in pods(own)] == [False] * len(pods(own))


@pytest.mark.parametrize("own", SHAPES.values(), ids=SHAPES)
def test_engines_may_load_for_hours_and_are_ready_at_once(own: Object) -> None:
    for engine in engines(own):
        if engine["name"] == "worker":
            assert not [name for name in engine if name.endswith("Probe")]
            continue
        start, ready, live = (
            engine[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")
        )
        assert start["periodSeconds"] * start["failureThreshold"] == 7200
        assert not [probe for probe in (start, ready, live) if "initialDelaySeconds" in probe]
        assert all(probe["timeoutSeconds"] >= 5 for probe in (start, ready, live))
        assert live["periodSeconds"] * live["failureThreshold"] >= 60


@pytest.mark.parametrize("own", SHAPES.values(), ids=SHAPES)
def test_every_engine_drains_within_its_grace(own: Object) -> None:
    for pod in pods(own):
        engine = pod["containers"][-1]
        script = engine["lifecycle"]["preStop"]["exec"]["command"][2]
        follows = engine["name"] == "worker"
        assert pod["terminationGracePeriodSeconds"] == (330 if follows else 300)
        assert (
            "ENTRY_ADDRESS" in script and "PORT, PATIENCE, PAUSE = 8000, 310" in script
        ) is follows
        assert ("localhost:8000/metrics" in script) is not follows


@pytest.mark.parametrize(
    ("setting", "annotation", "want"),
    [
        pytest.param(3600, None, {"big": 360, "small": 360}, id="the setting"),
        pytest.param(3600, "14400", {"big": 1440, "small": 1440}, id="all backends"),
        pytest.param(3600, "big=14400,small=605", {"big": 1440, "small": 61}, id="each"),
        pytest.param(3600, "big=14400", {"big": 1440, "small": 360}, id="one of two"),
        pytest.param(3600, "big=14400,600", {"big": 1440, "small": 60}, id="one and the others"),
        pytest.param(3600, "soon", {"big": 360, "small": 360}, id="stored before it was checked"),
    ],
)
def test_time_to_start(setting: int, annotation: str | None, want: dict[str, int]) -> None:
    given = {STARTUP: annotation} if annotation else {}
    options = Options(engine_startup_seconds=setting)
    found = engines(backend("big"), backend("small"), options=options, **given)
    failures = [engine["startupProbe"]["failureThreshold"] for engine in found]
    assert dict(zip(("big", "small"), failures, strict=True)) == want


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("14400", None, id="seconds"),
        pytest.param("b1=600", None, id="of a backend"),
        pytest.param("2h", '"2h" is not valid', id="a duration"),
        pytest.param("0", '"0" is not valid', id="zero"),
        pytest.param("-1", '"-1" is not valid', id="negative"),
        pytest.param("9999999", '"9999999" is not valid', id="months"),
        pytest.param("b2=600", 'there is no backend "b2"', id="of no backend"),
        pytest.param("60,70", "has two values for all backends", id="twice"),
    ],
)
def test_time_to_start_is_checked(text: str, said: str | None) -> None:
    obj = stored_object("demo", backend())
    obj["metadata"]["annotations"] = {STARTUP: text}
    faults = [str(fault) for fault in validate(obj, Context()).faults]
    assert len(faults) == (said is not None)
    if said:
        assert faults[0].startswith(f"metadata.annotations[{STARTUP}]: Invalid value: ")
        assert said in faults[0]


TLS = {"ssl-certfile": "/tls/tls.crt", "ssl-keyfile": "/tls/tls.key"}


def test_engines_with_tls_are_asked_with_tls() -> None:
    pair = [worker("prefill", config=TLS), worker("decode", config=TLS)]
    for own in (backend(workers=[worker(pods=2, config=TLS)]), disaggregated(workers=pair)):
        for pod in pods(own):
            engine = pod["containers"][-1]
            assert schemes(engine) <= {"HTTPS"}
            for sidecar in (each for each in pod["containers"] if each["name"] == "runtime"):
                assert "https://localhost:8000" in sidecar["args"]


def test_one_of_two_roles_may_use_tls() -> None:
    pair = [worker("prefill"), worker("decode", config=TLS)]
    prefill, decode = pods(disaggregated(workers=pair))
    assert schemes(prefill["containers"][-1]) == {"HTTP"}
    assert schemes(decode["containers"][-1]) == {"HTTPS"}
    assert "http://localhost:8000" in prefill["containers"][0]["args"]
    assert "https://localhost:8000" in decode["containers"][0]["args"]


def schemes(engine: Object) -> set[str]:
    """Returns the schemes by which the probes and the preStop hook ask an engine."""
    probes = [engine[name] for name in engine if name.endswith("Probe")]
    script = engine["lifecycle"]["preStop"]["exec"]["command"][2]
    asked = {scheme.upper() for scheme in re.findall(r"(https?)://", script)}
    return asked | {probe["httpGet"]["scheme"] for probe in probes}


def test_the_users_address_of_the_engine_wins() -> None:
    own = {"env": [{"name": "RUNTIME_URL", "value": "http://other:1"}]}
    (pod,) = pods(backend(workers=[worker(config=TLS)], **own))
    assert "http://other:1" in pod["containers"][0]["args"]


def test_nixl_listens_where_other_pods_reach_it() -> None:
    address = {"valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    name = "VLLM_NIXL_SIDE_CHANNEL_HOST"
    for engine in engines(disaggregated(**PAIR)):
        assert env(engine)[name] == {"name": name, **address}
    for engine in engines(disaggregated()):
        assert name not in env(engine)
    own = {"env": [{"name": name, "value": "10.0.0.1"}]}
    for engine in engines(disaggregated(**PAIR, **own)):
        assert [e for e in engine["env"] if e["name"] == name] == own["env"]


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        *((host, True) for host in ("0.0.0.0", "localhost", "127.0.0.1")),  # noqa: S104
        *((host, True) for host in ("127.1.2.3", "::", "::1")),
        *((host, False) for host in ("10.0.0.1", "node-1", "fd00::1", "$(POD_IP)", "")),
    ],
)
def test_an_address_of_the_pod_itself_is_warned_of(host: str, warned: bool) -> None:
    entry = {"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "value": host}
    verdict = validate(stored_object("demo", disaggregated(**PAIR, env=[entry])), Context())
    assert any("VLLM_NIXL_SIDE_CHANNEL_HOST" in text for text in verdict.warnings) is warned


@pytest.mark.parametrize(
    ("name", "ascend"),
    [("nvidia.com/gpu", False), ("huawei.com/ascend-1980", True), ("huawei.com/Ascend910", True)],
)
def test_variables_of_ascend_are_for_its_devices(name: str, ascend: bool) -> None:
    limits = {"limits": {name: "8"}}
    pair = [worker("prefill", resources=limits), worker("decode", resources=limits)]
    prefill, decode = engines(disaggregated(workers=pair))
    assert ("HCCL_IF_IP" in env(prefill)) is ascend
    assert ("HCCL_SOCKET_IFNAME" in env(decode)) is ascend
    assert "GLOO_SOCKET_IFNAME" in env(decode)


@pytest.mark.parametrize("own", SHAPES.values(), ids=SHAPES)
def test_what_an_engine_reads_from_a_secret_reaches_it(own: Object) -> None:
    sources = [{"secretRef": {"name": "engine-secrets"}}]
    for engine in engines({**own, "envFrom": sources}):
        assert engine["envFrom"] == sources
    for engine in engines({**own, "envFrom": sources}, options=Options(engine_env_from=False)):
        assert "envFrom" not in engine


def test_the_sidecar_has_the_resources_of_the_setting() -> None:
    """A ResourceQuota on limits refuses a pod with one container that has none."""
    options = Options(runtime_resources={"limits": {"cpu": "0.5", "memory": "512Mi"}})
    for pod in pods(backend(), disaggregated(), options=options):
        assert pod["containers"][0]["resources"] == {"limits": {"cpu": "500m", "memory": "512Mi"}}


def test_the_number_of_devices_is_left_to_ray_if_it_is_unknown() -> None:
    for name, want in (("nvidia.com/gpu.shared", True), ("nvidia.com/a100", False)):
        own = worker(pods=2, resources={"limits": {name: "2"}})
        leader, _ = engines(backend(workers=[own]))
        assert ("--num-gpus=2" in leader["command"][2]) is want
        assert ("--num-gpus" in leader["command"][2]) is want


def test_a_folder_of_a_claim_is_mounted_alone() -> None:
    own = backend(
        cacheURI="pvc://weights/team-a",
        modelURI="pvc://weights/team-a/llama",
        loraAdapters=[{"name": "sql", "artifactURL": "hf://owner/sql"}],
    )
    (pod,) = pods(own)
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "weights"}
    mount = {"name": "weights", "mountPath": "/weights/team-a", "subPath": "team-a"}
    assert pod["initContainers"][0]["volumeMounts"] == [mount]
    runtime, engine = pod["containers"]
    assert runtime["volumeMounts"] == [mount]
    assert engine["volumeMounts"][0] == {**mount, "readOnly": True}
    assert "/weights/team-a/llama" in engine["command"]
