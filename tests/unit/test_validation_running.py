"""Images, devices, metrics and TLS of running engines."""

from __future__ import annotations

from typing import Any

import pytest

from app.validation import Context, Verdict, validate, validate_and_convert
from app.validation.rules.running.images import moving_tag
from app.values.meta import Object
from tests.builders import backend, booster_object, worker

AT = "spec.backends[0].workers[0]"


def _verdict(config: Object | None = None, gpus: int = 0, pods: int = 1, **fields: Any) -> Verdict:
    resources = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
    image = "vllm/vllm-openai:v0.16.0"
    one = worker(image=image, config=config or {}, resources=resources, pods=pods)
    return validate(booster_object("m", backend(workers=[one], **fields)), Context())


def _policy(*names: str) -> Object:
    metrics = [{"metricName": name, "targetValue": 5} for name in names]
    return {"autoscalingPolicy": {"metrics": metrics}, "minReplicas": 1, "maxReplicas": 3}


@pytest.mark.parametrize(
    ("config", "gpus", "pods", "words"),
    [
        ({"tensor-parallel-size": 2, "data-parallel-size": 4}, 8, 1, ""),
        (
            {"tensor-parallel-size": 2, "data-parallel-size": 4},
            4,
            1,
            "2 (tensor) x 1 (pipeline) x 4 (data parallel size) = 8 devices, "
            "but 4 per pod x 1 pods = 4; the engine will not start",
        ),
        ({"tensor_parallel_size": "2", "data_parallel_size": "2"}, 8, 1, "= 4 devices"),
        ({"data-parallel-size": 8, "data-parallel-size-local": 4}, 4, 1, ""),
        ({"data-parallel-size": 8, "data-parallel-size-local": 4}, 4, 2, ""),
        ({"data-parallel-size": 16}, 8, 2, ""),
        ({"data-parallel-size": 8, "data-parallel-size-local": 0}, 4, 1, ""),
        ({"data-parallel-size": 4, "data-parallel-rank": 1}, 1, 1, ""),
        ({"tensor-parallel-size": 2, "prefill-context-parallel-size": 2}, 4, 1, ""),
        (
            {"tensor-parallel-size": 2, "prefill-context-parallel-size": 2},
            2,
            1,
            "2 (tensor) x 1 (pipeline) x 2 (prefill context parallel size) = 4 devices",
        ),
        ({"tensor-parallel-size": 4, "decode-context-parallel-size": 2}, 4, 1, ""),
        ({"tensor-parallel-size": 1, "pipeline-parallel-size": 2}, 1, 2, ""),
        (
            {"tensor-parallel-size": 8},
            4,
            1,
            "8 (tensor) x 1 (pipeline parallel size) = 8 devices, but 4 per pod x 1 pods = 4; "
            "the engine will not start",
        ),
        ({}, 4, 1, "some stay idle"),
    ],
)
def test_devices_and_all_parallel_sizes(config: Object, gpus: int, pods: int, words: str) -> None:
    verdict = _verdict(config, gpus, pods)
    found = [text for text in verdict.warnings if " devices, but " in text]
    assert [words in text for text in found] == ([True] if words else [])


OFF: list[Object] = [
    {"disable-log-stats": ""},
    {"disable_log_stats": True},
    {"disable-log-stats": "True"},
]
ON: list[Object] = [{}, {"disable-log-stats": False}, {"disable-log-stats": "false"}]


@pytest.mark.parametrize("config", OFF)
def test_without_metrics_there_is_nothing_to_scale_by(config: Object) -> None:
    (fault,) = _verdict(config, **_policy("kthena:num_requests_waiting")).faults
    (key,) = config
    assert str(fault.path) == f"{AT}.config.{key}"
    assert fault.message.endswith(f"remove {key} or autoscalingPolicy")
    verdict = _verdict(config)
    assert verdict.faults == ()
    (text,) = verdict.warnings
    assert text.startswith(f"{AT}.config.{key}: the engine reports no metrics")


def test_metrics_of_the_server_remain_without_those_of_the_engine() -> None:
    verdict = _verdict(OFF[0], **_policy("process_resident_memory_bytes"))
    assert verdict.faults == ()
    assert len(verdict.warnings) == 1


@pytest.mark.parametrize("config", ON)
def test_with_metrics_nothing_is_said(config: Object) -> None:
    verdict = _verdict(config, **_policy("vllm:num_requests_waiting"))
    assert (verdict.faults, verdict.warnings) == ((), ())


def test_a_stored_policy_without_metrics_goes_on_being_served() -> None:
    one = worker(config={"disable-log-stats": ""})
    fields = _policy("kthena:num_requests_waiting")
    stored = booster_object("m", backend(workers=[one], **fields))
    _, children = validate_and_convert(stored, Context())
    assert children
    edited = booster_object("m", backend(workers=[one], routeWeight=50, **fields))
    verdict = validate(edited, Context(), old=stored)
    assert verdict.faults == ()
    assert [text for text in verdict.warnings if "nothing to scale by" in text]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kthena:num_requests_waiting", ""),
        ("vllm:some_new_gauge", ""),
        ("process_resident_memory_bytes", ""),
        ("vllm_num_requests_waiting", "did you mean vllm:num_requests_waiting?"),
        ("vllm.num_requests_waiting", "did you mean vllm:num_requests_waiting?"),
        ("num_requests_waiting", "did you mean "),
        ("vllm:num_request_waiting", "may be misspelled; did you mean vllm:num_requests_waiting?"),
        ("cpu", "names begin with kthena: or vllm: or sglang:"),
    ],
)
def test_names_of_metrics(name: str, words: str) -> None:
    verdict = _verdict(**_policy(name))
    assert verdict.faults == ()
    assert [words in text for text in verdict.warnings] == ([True] if words else [])
    at = "spec.backends[0].autoscalingPolicy.metrics[0].metricName: "
    assert all(text.startswith(at) for text in verdict.warnings)


def test_tls_in_the_engine() -> None:
    certificate, key = {"ssl-certfile": "/c"}, {"ssl-keyfile": "/k"}
    verdict = _verdict(certificate | key)
    assert verdict.faults == ()
    (text,) = verdict.warnings
    assert text.startswith(f"{AT}.config.ssl-certfile: the router")
    assert "plain HTTP" in text
    assert len(_verdict(certificate).warnings) == 2
    (fault,) = _verdict(key).faults
    assert str(fault.path) == f"{AT}.config.ssl-keyfile"
    assert _verdict({"ssl-keyfile": None, "ssl-certfile": ""}).warnings == ()


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("vllm/vllm-openai:v0.11.0", None),
        ("vllm/vllm-openai:latest", "latest"),
        ("vllm/vllm-openai", ""),
        ("registry.example:5000/vllm", ""),
        ("registry.example:5000/vllm:v1.0", None),
        ("vllm/vllm-openai:nightly", "nightly"),
        ("vllm/vllm-openai:nightly-0f3a9c1e", None),
        ("vllm/vllm-openai:latest-aarch64", "latest-aarch64"),
        ("lmsysorg/sglang:latest-cu126", "latest-cu126"),
        ("lmsysorg/sglang:v0.5.2-dev", None),
        ("lmsysorg/sglang:dev-20260101", None),
        ("x/vllm:latest@sha256:" + "0" * 64, None),
        ("x/vllm@sha256:" + "0" * 64, None),
        ("x/vllm:prod-7", None),
    ],
)
def test_tags_that_move(image: str, want: str | None) -> None:
    assert moving_tag(image) == want


def test_no_warning_is_longer_than_the_api_server_shows() -> None:
    from tests.answers.cases import LISTS, cases

    texts = [text for name in LISTS for case in cases(name) for text in case.verdict().warnings]
    assert [text for text in texts if len(text) > 240] == []
