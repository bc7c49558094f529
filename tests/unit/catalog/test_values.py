"""Values of templates: read with their types, and checked with errors that help."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalog.parameters import PARAMETERS, Values, ValuesError, check_values
from app.catalog.settings import read_values

UPSTREAM = [
    "annotationName",
    "name",
    "namespace",
    "modelName",
    "owner",
    "metricName",
    "targetValue",
    "backendName",
    "backendType",
    "modelURI",
    "cacheURI",
    "minReplicas",
    "maxReplicas",
    "scalingCost",
    "scaleToZeroGracePeriod",
    "workerType",
    "workerImage",
    "workerReplicas",
    "workerPods",
    "maxModelLen",
    "gpuLimit",
    "gpuRequest",
    "loraAdapters",
    "tensorParallelSize",
    "gpuMemoryUtilization",
    "maxNumBatchedTokens",
    "npuLimit",
    "decodeWorkerType",
    "decodeWorkerImage",
    "decodeWorkerReplicas",
    "decodeWorkerPods",
]


def test_the_names_of_kthenas_templates_are_kept() -> None:
    assert set(UPSTREAM) <= {parameter.name for parameter in PARAMETERS}
    assert all(p.type and p.default and p.meaning.endswith(".") for p in PARAMETERS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maxModelLen=8192", {"maxModelLen": 8192}),
        ("requireDevice=true,minReplicas=0", {"requireDevice": True, "minReplicas": 0}),
        ("gpuMemoryUtilization=0.8", {"gpuMemoryUtilization": 0.8}),
        ("cacheURI=", {"cacheURI": ""}),
        ("name=1.10", {"name": "1.10"}),  # a text, whatever it looks like
        ('name="a,b"', {"name": "a,b"}),
        ("modelName=Qwen/Qwen3-32B", {"modelName": "Qwen/Qwen3-32B"}),
        ("config.seed=1", {"config": {"seed": 1}}),
        ("config.seed=null", {"config": {"seed": None}}),
        ("config.enforce-eager=", {"config": {"enforce-eager": ""}}),
        (
            r"config.kv-transfer-config\.kv_role=kv_both",
            {"config": {"kv-transfer-config.kv_role": "kv_both"}},
        ),
        ("config.compilation-config.mode=3", {"config": {"compilation-config": {"mode": 3}}}),
        ("config.x=[a, b],maxModelLen=1", {"config": {"x": ["a", "b"]}, "maxModelLen": 1}),
        ("config.x={a: 1, b: 2}", {"config": {"x": {"a": 1, "b": 2}}}),
        ('config.x="8"', {"config": {"x": "8"}}),
        (r"config.x=a\,b", {"config": {"x": "a,b"}}),
        ("config.x=a=b", {"config": {"x": "a=b"}}),
        (
            "loraAdapters[0].name=a,loraAdapters[0].artifactURL=hf://a/b",
            {"loraAdapters": [{"name": "a", "artifactURL": "hf://a/b"}]},
        ),
        (
            "loraAdapters=[{name: a, artifactURL: hf://a/b}]",
            {"loraAdapters": [{"name": "a", "artifactURL": "hf://a/b"}]},
        ),
    ],
)
def test_settings_have_real_types(text: str, expected: dict[str, Any]) -> None:
    assert read_values({}, [text]) == expected


def test_later_values_win_and_mappings_are_merged() -> None:
    files = {
        "a.yaml": "maxModelLen: 1\nconfig: {a: 1, b: 2}\n",
        "b.yaml": "config: {b: 3}\n",
        "c": "",
    }
    assert read_values(files, ["config.c=4", "maxModelLen=2"]) == {
        "maxModelLen": 2,
        "config": {"a": 1, "b": 3, "c": 4},
    }


@pytest.mark.parametrize(
    ("files", "sets", "said"),
    [
        ({"v.yaml": "- a"}, [], "v.yaml: must hold a mapping"),
        ({"v.yaml": "a: ["}, [], "v.yaml: failed to parse values file"),
        (
            {"v.yaml": f"a: {'[' * 3000}{']' * 3000}"},
            [],
            "v.yaml: failed to parse values file: lists and mappings are nested",
        ),
        ({"v.yaml": "config: &a {seed: *a}"}, [], "an alias (*name) repeats itself"),
        ({}, [f"a={'[' * 3000}{']' * 3000}"], '--set "a": lists and mappings are nested'),
        ({}, ["maxModelLen"], "must be name=value"),
        ({}, ["=1"], "must be name=value"),
        ({}, ["a..b=1"], "is no path"),
        ({}, ["a.=1"], "is no path"),
        ({}, ["a[1].b=1"], "comes before [0] is set"),
        ({}, ["a[0]=1,a.b=2"], "a list and a mapping"),
    ],
)
def test_what_cannot_be_read_says_so(files: dict[str, str], sets: list[str], said: str) -> None:
    with pytest.raises(ValuesError) as caught:
        read_values(files, sets)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"gpuLimits": 1}, 'unknown value "gpuLimits"; did you mean gpuLimit?'),
        ({"maxmodellen": 1}, "did you mean maxModelLen?"),
        ({"zzz": 1}, 'unknown value "zzz"; see describe template'),
        ({"maxModelLen": "8k"}, 'maxModelLen: "8k" must be a whole number'),
        ({"maxModelLen": True}, "maxModelLen: true must be a whole number"),
        ({"maxModelLen": 0}, "maxModelLen: 0 must be greater than or equal to 1"),
        ({"maxModelLen": 1.5}, "maxModelLen: 1.5 must be a whole number"),
        ({"minReplicas": -1}, "minReplicas: -1 must be greater than or equal to 0"),
        ({"gpuMemoryUtilization": 2}, "gpuMemoryUtilization: 2 must be less than or equal to 1"),
        ({"loraAdapters": [{"name": "a"}]}, "loraAdapters[0].artifactURL: is missing"),
        ({"loraAdapters": ["a"]}, 'loraAdapters[0]: "a" must be an object'),
        ({"engine": "tgi"}, 'engine: "tgi" must be vllm or sglang'),
        ({"workerReplicas": 0}, "workerReplicas: 0 must be greater"),
        ({"name": 7}, "name: 7 must be text"),
        ({"loraAdapters": "x"}, 'loraAdapters: "x" must be a list'),
        (
            {"loraAdapters": [{"name": "a", "artifactURL": "b", "c": 1}]},
            "loraAdapters[0].c: is unknown",
        ),
        ({"config": [1]}, "config: [1] must be an object"),
        ({"requireDevice": "yes"}, 'requireDevice: "yes" must be true or false'),
    ],
)
def test_faults_name_value_and_way_out(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValuesError) as caught:
        check_values(values)
    assert said in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ValuesError) as caught:
        check_values({"gpuLimits": 1, "maxModelLen": "8k", "engine": 1})
    assert len(str(caught.value).splitlines()) == 3


def test_nothing_given_is_no_value() -> None:
    assert check_values({}) == check_values({"name": None}) == Values()
