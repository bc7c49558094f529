"""What follows from a spec, and which field is at fault where nothing does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.apis.kinds import Profile
from app.engines.text import argument_text
from app.model.arguments import arguments
from app.model.connector import connector
from app.model.forms import BackendForm
from app.model.names import adapter_names, check_name_budget, served_model_name
from app.model.ports import engine_port, runtime_port
from app.model.roles import autoscaled, devices, has_ascend, roles, served, unserved
from app.model.storage import adapter_path, cache_of, model_path
from app.values.fields import SpecError
from app.values.folders import host_folder
from app.values.meta import Object
from tests.builders import backend, disaggregated, lora, model, policy, worker

B0 = "spec.backends[0]"
W0 = f"{B0}.workers[0]"


def form(obj: Object | None = None, /, **fields: Any) -> BackendForm:
    """The canonical form of one backend, of ModelBooster ``demo``."""
    return model("demo", obj or backend(**fields)).backends[0]


def engine(**config: Any) -> BackendForm:
    return form(workers=[worker(config=config)])


def pair(prefill: Object | None = None, decode: Object | None = None) -> BackendForm:
    workers = [worker("prefill", config=prefill), worker("decode", config=decode)]
    return form(disaggregated(workers=workers))


def fault(ask: Callable[[], object]) -> tuple[str, str]:
    """The path of the fault and its message."""
    with pytest.raises(SpecError) as caught:
        ask()
    return str(caught.value.fault.path), caught.value.fault.message


def test_who_is_served() -> None:
    every = ("vLLM", "SGLang", "MindIE")
    several = model("demo", *(backend(name.lower(), type=name) for name in every), disaggregated())

    assert [b.name for b in served(several)] == ["vllm", "sglang", "pd"]
    assert [b.name for b in unserved(several)] == ["mindie"]


@pytest.mark.parametrize("profile", Profile)
def test_who_is_scaled(profile: Profile) -> None:
    own = {"minReplicas": 1, "maxReplicas": 2, "autoscalingPolicy": policy()}
    every = model("demo", backend("a", **own), backend("b"), disaggregated("c", **own))

    scaled = [b.name for b in every.backends if autoscaled(every, b, profile)]

    assert scaled == (["a"] if profile is Profile.A else ["a", "c"])


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(backend(), [("leader", 1, 0)], id="one pod"),
        pytest.param(
            backend(workers=[worker(replicas=0, pods=0)]), [("leader", 1, 0)], id="zero means one"
        ),
        pytest.param(backend(workers=[worker(replicas=2, pods=4)]), [("leader", 2, 3)], id="nodes"),
        pytest.param(
            disaggregated(workers=[worker("decode", replicas=3), worker("prefill", pods=9)]),
            [("prefill", 1, 0), ("decode", 3, 0)],
            id="disaggregated",
        ),
    ],
)
def test_roles(obj: Object, want: list[tuple[str, int, int]]) -> None:
    found = [(role.name, role.worker.replicas, role.followers) for role in roles(form(obj))]
    assert found == want


def test_a_worker_that_the_type_needs_is_missing() -> None:
    assert fault(lambda: roles(form(workers=[worker("prefill")]))) == (
        f"{B0}.workers",
        "Required value: server worker not found in backend: b1",
    )


@pytest.mark.parametrize(
    ("value", "want"),
    [
        pytest.param("as it is", "as it is", id="text"),
        pytest.param("", "", id="switch"),
        pytest.param(True, "true", id="true"),
        pytest.param(False, "false", id="false"),
        pytest.param(None, "null", id="null"),
        pytest.param(32768, "32768", id="whole"),
        pytest.param(1048576, "1048576", id="a million"),
        pytest.param(10**30, "1" + "0" * 30, id="beyond 64 bits"),
        pytest.param(0.9, "0.9", id="fraction"),
        pytest.param(1.0, "1", id="whole as a fraction"),
        pytest.param(2e6, "2000000", id="millions as a fraction"),
        pytest.param(1e-5, "0.00001", id="tiny"),
        pytest.param(1.5e-7, "0.00000015", id="tinier"),
        pytest.param(1e22, "1" + "0" * 22, id="huge"),
        pytest.param(-0.0, "-0", id="minus zero"),
        pytest.param([1, "x", True, None], '[1,"x",true,null]', id="list"),
        pytest.param({"b": 1.0, "a": {"ü": 0.5}}, '{"a":{"ü":0.5},"b":1}', id="object, sorted"),
        pytest.param({}, "{}", id="empty object"),
    ],
)
def test_argument_text(value: object, want: str) -> None:
    assert argument_text(value) == want


def test_arguments_are_sorted_as_written_and_spelt_with_dashes() -> None:
    (role,) = roles(engine(max_model_len=1, **{"max-num-seqs": 2, "Zeta": 3, "a1": ""}))

    assert arguments(role.worker).words == [
        *("--Zeta", "3"),
        "--a1",
        *("--max-num-seqs", "2"),
        *("--max-model-len", "1"),
    ]


def test_an_argument_in_both_spellings() -> None:
    both = engine(**{"max-model-len": 1, "max_model_len": 1})

    assert fault(lambda: arguments(both.workers[0])) == (
        f"{W0}.config.max_model_len",
        f'Duplicate value: "max_model_len": it means the same as {W0}.config.max-model-len',
    )


def test_an_argument_without_a_bottom() -> None:
    value: object = 1
    for _ in range(5000):
        value = [value]
    (deep,) = (replace(w, config={"seed": value}) for w in engine().workers)
    assert fault(lambda: arguments(deep)) == (
        f"{W0}.config.seed",
        'Invalid value: "seed": is nested too deeply',
    )


def test_a_changed_form_has_facts_of_its_own() -> None:
    (given,) = engine(seed=1).workers
    assert list(arguments(given)) == ["seed"]
    assert list(arguments(replace(given, config={"x": 1}))) == ["x"]


def test_an_argument_that_no_program_can_get() -> None:
    where, what = fault(lambda: arguments(engine(seed="a\0b").workers[0]))
    assert where == f"{W0}.config.seed"
    assert what.endswith("must not hold the character NUL")


@pytest.mark.parametrize(
    ("obj", "want"),
    [
        pytest.param(backend(), "demo", id="none"),
        pytest.param(
            backend(workers=[worker(config={"served-model-name": "a"})]), "a", id="dashes"
        ),
        pytest.param(
            backend(workers=[worker(config={"served_model_name": "a"})]), "a", id="underscores"
        ),
        pytest.param(backend(workers=[worker(config={"served-model-name": 7})]), "7", id="number"),
    ],
)
def test_served_model_name(obj: Object, want: str) -> None:
    several = model("demo", obj, name="for-clients")
    assert served_model_name(several, several.backends[0]) == want


@pytest.mark.parametrize("side", [0, 1])
def test_prefill_and_decode_serve_what_one_of_them_names(side: int) -> None:
    configs: list[Object | None] = [None, None]
    configs[side] = {"served-model-name": "a"}
    named = pair(*configs)
    assert served_model_name(model("demo"), named) == "a"


@pytest.mark.parametrize("name", ["", [], ["a", ""], [["a"]], {}, "x" * 257, ["a", "x" * 257]])
def test_no_served_model_name(name: object) -> None:
    where, _ = fault(lambda: served_model_name(model("demo"), engine(served_model_name=name)))
    assert where == f"{W0}.config.served_model_name"


def test_prefill_and_decode_name_different_models() -> None:
    names = pair({"served-model-name": "a"}, {"served_model_name": "b"})

    assert fault(lambda: served_model_name(model("demo"), names)) == (
        f"{B0}.workers[1].config.served_model_name",
        'Invalid value: "b": workers serve different names: "a" and "b"',
    )


@pytest.mark.parametrize(
    ("written", "want"),
    [(1, 1), (65535, 65535), ("9000", 9000), (8000.0, 8000)],
)
def test_engine_port(written: object, want: int) -> None:
    assert engine_port(engine(port=written)) == want


def test_engine_port_unless_said() -> None:
    assert engine_port(engine()) == 8000


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (0, "0"),
        (65536, "65536"),
        (70000, "70000"),
        (-1, "-1"),
        (8000.5, "8000.5"),
        ("1e6", '"1e6"'),
        ("", '""'),
        (" 80", '" 80"'),
        (True, "true"),
        ([80], "[80]"),
        ("9" * 30, '"' + "9" * 30 + '"'),
    ],
)
def test_no_engine_port(written: object, shown: str) -> None:
    where, what = fault(lambda: engine_port(engine(port=written)))

    assert where == f"{W0}.config.port"
    assert what.startswith(f"Invalid value: {shown}: invalid port ")
    assert what.endswith("for worker server")


def test_workers_with_different_ports() -> None:
    assert fault(lambda: engine_port(pair(None, {"port": 8001}))) == (
        f"{B0}.workers[1].config.port",
        "Invalid value: 8001: workers use different engine ports: 8000 and 8001",
    )


@pytest.mark.parametrize(
    ("env", "want"),
    [
        pytest.param([], 8100, id="unless said"),
        pytest.param([{"name": "RUNTIME_PORT", "value": "9100"}], 9100, id="said"),
        pytest.param([{"name": "RUNTIME_PORT", "value": "x"}], 8100, id="no number"),
        pytest.param([{"name": "RUNTIME_PORT"}], 8100, id="empty"),
        pytest.param(
            [{"name": "RUNTIME_PORT", "valueFrom": {"fieldRef": {"fieldPath": "a"}}}],
            8100,
            id="from elsewhere",
        ),
    ],
)
def test_runtime_port(env: list[Object], want: int) -> None:
    assert runtime_port(form(env=env)) == want


@pytest.mark.parametrize("text", ["0", "65536", "8000"])
def test_no_runtime_port(text: str) -> None:
    env = [{"name": "A", "value": "1"}, {"name": "RUNTIME_PORT", "value": text}]
    where, _ = fault(lambda: runtime_port(form(env=env)))
    assert where == f"{B0}.env[1].value"


def test_the_engine_takes_the_sidecars_port() -> None:
    assert fault(lambda: runtime_port(engine(port=8100))) == (
        f"{W0}.config.port",
        "Invalid value: 8100: the metrics sidecar and the engine would both listen on port 8100",
    )


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        pytest.param({}, 0, id="none"),
        pytest.param({"limits": {"cpu": "8"}}, 0, id="only cores"),
        pytest.param({"limits": {"nvidia.com/gpu": 8}}, 8, id="NVIDIA"),
        pytest.param({"requests": {"huawei.com/ascend-1980": "4"}}, 4, id="Ascend, as a request"),
        pytest.param({"limits": {"amd.com/gpu": "2"}}, 2, id="AMD"),
        pytest.param(
            {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "3"}},
            1,
            id="the limit counts",
        ),
        pytest.param({"limits": {"nvidia.com/gpu": "500m"}}, 1, id="rounded up"),
        pytest.param({"limits": {"nvidia.com/gpu.shared": "2"}}, 2, id="time slices, renamed"),
        pytest.param({"limits": {"nvidia.com/mig-3g.40gb": "2"}}, 2, id="MIG"),
        pytest.param({"limits": {"nvidia.com/mig-1g.10gb.me.shared": 1}}, 1, id="shared MIG"),
        pytest.param(
            {"limits": {"volcano.sh/vgpu-number": "2", "volcano.sh/vgpu-memory": "10240"}},
            2,
            id="Volcano's vGPUs",
        ),
        pytest.param(
            {
                "limits": {
                    "nvidia.com/gpu": "2",
                    "nvidia.com/gpumem": 8000,
                    "nvidia.com/gpucores": 50,
                }
            },
            2,
            id="memory and cores of HAMi do not count",
        ),
        pytest.param({"limits": {"huawei.com/Ascend910": "8"}}, 8, id="Ascend 910"),
        pytest.param(
            {"limits": {"huawei.com/Ascend310P": 4, "huawei.com/Ascend310P-memory": 21527}},
            4,
            id="a part of an Ascend 310P",
        ),
        pytest.param({"limits": {"amd.com/cpx_nps4": "8"}}, 8, id="partitions of AMD"),
        pytest.param({"limits": {"gpu.intel.com/i915": "4"}}, 4, id="Intel"),
        pytest.param({"limits": {"gpu.intel.com/xe": "4"}}, 4, id="Intel, xe"),
        pytest.param({"limits": {"habana.ai/gaudi": "8"}}, 8, id="Gaudi"),
        pytest.param({"limits": {"google.com/tpu": "4"}}, 4, id="TPU"),
        pytest.param({"limits": {"aws.amazon.com/neuroncore": "4"}}, 4, id="Neuron cores"),
        pytest.param({"limits": {"aws.amazon.com/neuron": "1"}}, None, id="several cores each"),
        pytest.param({"limits": {"nvidia.com/a100": "4"}}, None, id="renamed by the operator"),
        pytest.param({"limits": {"nvidia.com/gpumem": "8000"}}, None, id="only memory"),
        pytest.param({"limits": {"gpu.intel.com/i915_monitoring": "1"}}, None, id="no device"),
        pytest.param({"limits": {"example.com/npu": "2"}}, None, id="another vendor"),
        pytest.param({"limits": {"example.com/npu": "0"}}, 0, id="none of another vendor"),
        pytest.param(
            {"limits": {"nvidia.com/gpu": "2", "rdma/hca": "1"}}, 2, id="with a network card"
        ),
        pytest.param({"claims": [{"name": "gpus"}]}, None, id="claimed devices"),
    ],
)
def test_devices(resources: Object, want: int | None) -> None:
    found = devices(form(workers=[worker(resources=resources)]).workers[0])
    assert (type(found), found) == (type(want), want)


@pytest.mark.parametrize(
    ("resources", "want"),
    [
        ({}, False),
        ({"limits": {"nvidia.com/gpu": "1"}}, False),
        ({"limits": {"huawei.com/ascend-1980": "1"}}, True),
        ({"requests": {"huawei.com/Ascend910B4": "1"}}, True),
        ({"limits": {"huawei.com/Ascend910": "0"}}, False),
    ],
)
def test_has_ascend(resources: Object, want: bool) -> None:
    assert has_ascend(form(workers=[worker(resources=resources)]).workers[0]) is want


@pytest.mark.parametrize(
    ("length", "most", "fields", "fits"),
    [
        pytest.param(49, 9, {}, True, id="just fits"),
        pytest.param(50, 9, {}, False, id="just too long"),
        pytest.param(48, 10, {}, True, id="a digit more"),
        pytest.param(49, 10, {}, False, id="a digit too many"),
        pytest.param(43, 1_000_000, {}, True, id="a million"),
        pytest.param(44, 1_000_000, {}, False, id="a million, too long"),
        pytest.param(48, 9, {"workers": [worker(pods=11)]}, True, id="ten followers"),
        pytest.param(49, 9, {"workers": [worker(pods=11)]}, False, id="ten followers, too long"),
        pytest.param(48, 9, disaggregated(), True, id="prefill is longer"),
        pytest.param(49, 9, disaggregated(), False, id="prefill is longer, too long"),
    ],
)
def test_name_budget(length: int, most: int, fields: Object, fits: bool) -> None:
    """``length`` is that of both names together, without the dash between them."""
    name = "m" * (length - 2)
    obj = {**backend(), **fields, "name": "b1", "minReplicas": 0, "maxReplicas": most}
    long = model(name, obj)

    if fits:
        check_name_budget(long, long.backends[0])
        return
    where, what = fault(lambda: check_name_budget(long, long.backends[0]))
    assert where == f"{B0}.name"
    assert f"has {length + 1} characters, at most {length} are allowed" in what


def test_more_adapters_than_a_route_can_list() -> None:
    loras = [lora(f"a{n}") for n in range(6)], [lora(f"b{n}") for n in range(5)]
    several = model("demo", *(backend(f"b{n}", loraAdapters=two) for n, two in enumerate(loras)))

    assert fault(lambda: adapter_names(several)) == (
        "spec.backends",
        "Too many: 11: must have at most 10 LoRA adapters of different names",
    )


@pytest.mark.parametrize(
    ("uri", "path", "volume"),
    [
        (None, "/models-cache", {"emptyDir": {}}),
        ("hostpath:///a/b", "/a/b", {"hostPath": {"path": "/a/b", "type": "DirectoryOrCreate"}}),
        ("hostpath://a/b", "/a/b", {"hostPath": {"path": "/a/b", "type": "DirectoryOrCreate"}}),
        ("hostpath:///a/b/", "/a/b", {"hostPath": {"path": "/a/b", "type": "DirectoryOrCreate"}}),
        ("hostpath:///a//./b", "/a/b", {"hostPath": {"path": "/a/b", "type": "DirectoryOrCreate"}}),
        ("hostpath:///..a", "/..a", {"hostPath": {"path": "/..a", "type": "DirectoryOrCreate"}}),
        ("pvc://c", "/c", {"persistentVolumeClaim": {"claimName": "c"}}),
        ("pvc:///c/", "/c", {"persistentVolumeClaim": {"claimName": "c"}}),
        ("pvc://a.b", "/a.b", {"persistentVolumeClaim": {"claimName": "a.b"}}),
        ("pvc://c/a/b", "/c/a/b", {"persistentVolumeClaim": {"claimName": "c"}}),
    ],
)
def test_cache(uri: str | None, path: str, volume: Object) -> None:
    cache = cache_of(form(cacheURI=uri))
    assert (cache.path, cache.volume) == (path, volume)


@pytest.mark.parametrize(
    "uri",
    [
        *("hostpath:///", "hostpath:////", "hostpath:///./", "hostpath:///a/../b", "hostpath://.."),
        *("hostpath:///dev/shm", "pvc:///", "pvc://A", "pvc://a b", "pvc://a://b"),
        *("pvc://a/..", "pvc://a/../b", "pvc://a/./b", "pvc://a//b", "pvc://a/b c", "pvc://a/b:c"),
        *("pvc://a/b\tc", "pvc://a/b\0c", "pvc://a/ "),
        "hostpath:///a\0b",
    ],
)
def test_no_cache(uri: str) -> None:
    where, _ = fault(lambda: cache_of(form(cacheURI=uri)))
    assert where == f"{B0}.cacheURI"


@pytest.mark.parametrize("folder", ["/mnt", "/mnt/models"])
def test_host_paths_that_the_operator_allows(folder: str) -> None:
    assert cache_of(form(cacheURI=f"hostpath://{folder}"), ["/data/", "/mnt"]).path == folder


@pytest.mark.parametrize("folder", ["/mnt2", "/etc", "/data.old"])
def test_host_paths_that_the_operator_does_not_allow(folder: str) -> None:
    asked = form(cacheURI=f"hostpath://{folder}")

    assert fault(lambda: cache_of(asked, ["/data/", "/mnt"])) == (
        f"{B0}.cacheURI",
        f"Forbidden: host path {folder} is not below /data or /mnt, the ones allowed here "
        "(kthena.hostPathPrefixes of the Helm chart, MODELBOOSTER_HOST_PATH_PREFIXES)",
    )


@pytest.mark.parametrize("folder", ["/etc", "/mnt"])
def test_an_empty_list_allows_no_host_path(folder: str) -> None:
    where, said = fault(lambda: cache_of(form(cacheURI=f"hostpath://{folder}"), []))
    assert where == f"{B0}.cacheURI"
    assert said.startswith(f"Forbidden: host path {folder} is not allowed here, and no other is (")


@pytest.mark.parametrize("prefix", ["data", "", "/data/..", "/data/../etc"])
def test_a_prefix_that_does_not_name_a_folder_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="must be an absolute path without"):
        host_folder(prefix)


@pytest.mark.parametrize(
    ("uri", "cache", "want"),
    [
        ("hf://Qwen/Qwen3-8B", None, "/models-cache/9991b1c6bc1196d1b1373fb52d0dfc99"),
        ("s3://bucket/models/m", "hostpath:///c", "/c/b71c0137c033726ca6c9d365bef85603"),
        ("ms://Qwen/Qwen2.5-7B-Instruct", "pvc://c", "/c/c045950d01b36cb97ed9fc9e25f78f81"),
        ("pvc://c", "pvc://c", "/c"),
        ("pvc:///c//a/./b/", "pvc://c", "/c/a/b"),
        ("pvc://c/f/g/m", "pvc://c/f/g", "/c/f/g/m"),
        ("hf://Qwen/Qwen3-8B", "pvc://c/f", "/c/f/9991b1c6bc1196d1b1373fb52d0dfc99"),
    ],
)
def test_where_a_model_lies(uri: str, cache: str | None, want: str) -> None:
    asked = form(modelURI=uri, cacheURI=cache, loraAdapters=[lora("a", artifactURL=uri)])

    assert model_path(asked, cache_of(asked)) == want
    assert adapter_path(asked, cache_of(asked), 0) == want


@pytest.mark.parametrize(
    ("uri", "cache", "at"),
    [
        pytest.param("pvc://c/m", None, "cacheURI", id="no cache"),
        pytest.param("pvc://c/m", "hostpath:///c", "cacheURI", id="a cache on the node"),
        pytest.param("pvc://c/../m", "pvc://c", "modelURI", id="out and in again"),
        pytest.param("pvc://d/m", "pvc://c", "modelURI", id="another claim"),
        pytest.param("pvc://cc/m", "pvc://c", "modelURI", id="a claim that begins alike"),
        pytest.param("pvc://c/g/m", "pvc://c/f", "modelURI", id="another folder of the claim"),
        pytest.param("pvc://c/ff", "pvc://c/f", "modelURI", id="a folder that begins alike"),
        pytest.param("pvc://c/f/../m", "pvc://c/f", "modelURI", id="out of the folder"),
        pytest.param("hf://a\0b", None, "modelURI", id="no path can hold it"),
    ],
)
def test_a_model_that_cannot_be_reached(uri: str, cache: str | None, at: str) -> None:
    asked = form(modelURI=uri, cacheURI=cache)
    where, _ = fault(lambda: model_path(asked, cache_of(asked)))
    assert where == f"{B0}.{at}"


def test_the_folder_of_a_claim_is_mounted() -> None:
    assert cache_of(form(cacheURI="pvc://c/a/b")).folder == "a/b"
    assert cache_of(form(cacheURI="pvc://c/")).folder is None


def test_a_bad_folder_of_a_claim_is_named() -> None:
    assert fault(lambda: cache_of(form(cacheURI="pvc://c/a//b"))) == (
        f"{B0}.cacheURI",
        "Invalid value: \"pvc://c/a//b\": the folder of a claim must not contain '..', '.' or "
        "empty path segments",
    )
    assert fault(lambda: cache_of(form(cacheURI="pvc://c/a b"))) == (
        f"{B0}.cacheURI",
        "Invalid value: \"pvc://c/a b\": the folder of a claim must not contain ' '; "
        "rename the folder",
    )


def folder_of(uri: str, *env: Object) -> tuple[str, str]:
    """Returns the folders of a model and of an adapter with the same URI."""
    asked = form(modelURI=uri, env=list(env), loraAdapters=[lora("a", artifactURL=uri)])
    return model_path(asked, cache_of(asked)), adapter_path(asked, cache_of(asked), 0)


def literal(name: str, value: str) -> Object:
    return {"name": name, "value": value}


def secret(name: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "s", "key": key}}}


CHOOSING = [
    *(("hf", name) for name in ("HF_REVISION", "HF_ENDPOINT")),
    *(("ms", name) for name in ("MS_REVISION", "MODELSCOPE_DOMAIN", "MODELSCOPE_ENDPOINT")),
    *(("s3", name) for name in ("ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")),
    ("obs", "ENDPOINT"),
]


@pytest.mark.parametrize(("scheme", "name"), CHOOSING)
def test_what_is_downloaded_chooses_the_folder(scheme: str, name: str) -> None:
    uri = f"{scheme}://owner/model"
    found = [
        folder_of(uri),
        folder_of(uri, literal(name, "v1")),
        folder_of(uri, literal(name, "v2")),
        folder_of(uri, secret(name, "k1")),
        folder_of(uri, secret(name, "k2")),
        folder_of(uri, literal("REV", "v1"), literal(name, "$(REV)")),
        folder_of(uri, literal("REV", "v2"), literal(name, "$(REV)")),
    ]
    assert all(of_model == of_adapter for of_model, of_adapter in found)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(("scheme", "name"), CHOOSING)
def test_other_variables_do_not_choose_the_folder(scheme: str, name: str) -> None:
    uri, alone = f"{scheme}://owner/model", folder_of(f"{scheme}://owner/model")
    assert folder_of(uri, literal(name, "")) == alone
    assert folder_of(uri, literal("HF_HOME", "/x"), secret("ACCESS_KEY", "k")) == alone
    for other, of in CHOOSING:
        if other != scheme and (scheme, of) not in CHOOSING:
            assert folder_of(uri, literal(of, "v1")) == alone


def test_variables_that_name_each_other_end() -> None:
    env = literal("HF_REVISION", "$(A)"), literal("A", "$(HF_REVISION)")
    assert folder_of("hf://owner/model", *env)[0].startswith("/models-cache/")


def test_an_adapter_that_cannot_be_reached() -> None:
    asked = form(cacheURI="pvc://c", loraAdapters=[lora("a"), lora("b", artifactURL="pvc://d")])
    where, _ = fault(lambda: adapter_path(asked, cache_of(asked), 1))
    assert where == f"{B0}.loraAdapters[1].artifactURL"


def transfer(name: str, role: str | None = "kv_both", key: str = "kv-transfer-config") -> Object:
    said = f'"kv_connector":"{name}"' + (f',"kv_role":"{role}"' if role else "")
    return {key: "{" + said + "}"}


@pytest.mark.parametrize(
    ("prefill", "decode", "want"),
    [
        pytest.param(None, None, None, id="nothing said"),
        pytest.param(transfer("NixlConnector"), transfer("NixlConnector"), "nixl", id="NIXL"),
        pytest.param(
            transfer("MooncakeConnectorV1", "kv_producer"),
            transfer("MooncakeConnector", "kv_consumer"),
            "mooncake",
            id="Mooncake in both of its names",
        ),
        pytest.param(
            transfer("LMCacheConnectorV1", "kv_producer", "kv_transfer_config"),
            transfer("LMCacheConnectorV1", "kv_consumer"),
            "lmcache",
            id="LMCache, spelt with underscores",
        ),
        pytest.param(transfer("Own", None), transfer("Own", None), None, id="one nobody knows"),
    ],
)
def test_connector(prefill: Object | None, decode: Object | None, want: str | None) -> None:
    assert connector(pair(prefill, decode)) == want


NIXL = transfer("NixlConnector")


@pytest.mark.parametrize(
    ("prefill", "decode", "why"),
    [
        (NIXL, None, "decode worker has no kv-transfer-config"),
        (None, NIXL, "prefill worker has no kv-transfer-config"),
        (NIXL, transfer("LMCacheConnectorV1"), "prefill and decode use different connectors"),
        (NIXL, transfer("Own"), "prefill and decode use different connectors"),
        (NIXL, transfer("NixlConnector", None), "kv_role is missing for the decode worker"),
        (NIXL, transfer("NixlConnector", "kv_producer"), "must be kv_consumer or kv_both"),
        (transfer("NixlConnector", "kv_consumer"), NIXL, "must be kv_producer or kv_both"),
        (NIXL, {"kv-transfer-config": "{}"}, "kv_connector is missing for the decode worker"),
        (NIXL, {"kv-transfer-config": "nixl"}, "must be an object, or a string that holds JSON"),
        (NIXL, {"kv-transfer-config": "[]"}, "must be an object, or a string that holds JSON"),
        (NIXL, {"kv-transfer-config": ["x"]}, "must be an object, or a string that holds JSON"),
        (NIXL, {"kv-transfer-config": {"kv_role": "kv_both"}}, "kv_connector is missing"),
        (NIXL, {"kv-transfer-config.kv_role": "kv_both"}, "kv_connector is missing"),
    ],
)
def test_no_connector(prefill: Object | None, decode: Object | None, why: str) -> None:
    where, what = fault(lambda: connector(pair(prefill, decode)))

    assert where == f"{B0}.workers"
    assert what.startswith('Invalid value: "pd": invalid kv connector configuration: ')
    assert why in what


def test_two_workers_of_a_kind_have_no_connector() -> None:
    twice = form(disaggregated(workers=[worker("prefill"), worker("prefill"), worker("decode")]))
    _, what = fault(lambda: connector(twice))
    assert what.endswith("found 2 prefill workers, expected one")
