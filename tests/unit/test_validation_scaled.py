"""Warnings about policies: who reads them, which metrics say something, which targets are met."""

from __future__ import annotations

from typing import Any

import pytest

from app.apis.kinds import PROFILES, Profile, read_kthena_release
from app.convert.options import Options
from app.validation import Context, validate
from app.values.meta import Object
from controller.plan.desired import desired_state
from tests.builders import (
    backend,
    booster_object,
    disaggregated,
    policy,
    stored_object,
    worker,
)

BOUNDS = {"minReplicas": 1, "maxReplicas": 3}
METRIC = "spec.backends[0].autoscalingPolicy.metrics[0]"


def warnings(
    *backends: Object,
    release: str | None = "v0.4.0",
    profile: Profile | None = None,
    namespace: str = "kthena-system",
    options: Object | None = None,
    **spec: Any,
) -> list[str]:
    profile = PROFILES[release] if release else profile
    settings = Options(kthena_release=read_kthena_release(release or ""), **(options or {}))
    obj = booster_object("m", *backends, namespace=namespace, **spec)
    verdict = validate(obj, Context(settings, profile))
    assert verdict.faults == ()
    return list(verdict.warnings)


def by(name: str, target: Any = 1, image: str = "vllm/vllm-openai:v0.9.2", **own: Any) -> Object:
    """A backend that is scaled by a metric."""
    metrics = [{"metricName": name, "targetValue": target}]
    one = worker(image=image, **own)
    return backend(**BOUNDS, workers=[one], autoscalingPolicy=policy(metrics=metrics))


def said(found: list[str]) -> list[str]:
    """The first words of each warning, without the place in the object."""
    return [text.partition(": ")[2][:50] for text in found]


@pytest.mark.parametrize(
    ("release", "profile", "namespace", "read"),
    [
        pytest.param("v0.1.0", None, "default", False, id="v0.1.0"),
        pytest.param("v0.2.0", None, "default", False, id="v0.2.0"),
        pytest.param("v0.1.0", None, "kthena-system", True, id="v0.1.0, its own"),
        pytest.param("v0.3.0", None, "default", True, id="v0.3.0"),
        pytest.param("v0.4.0", None, "default", True, id="v0.4.0"),
        pytest.param("v1.0.0", None, "default", True, id="v1.0.0"),
        pytest.param(None, Profile.A, "default", False, id="A, release unknown"),
        pytest.param(None, Profile.B, "default", True, id="B, release unknown"),
        pytest.param(None, None, "default", True, id="nothing known"),
    ],
)
def test_policies_that_nobody_reads(
    release: str | None, profile: Profile | None, namespace: str, read: bool
) -> None:
    own = by("kthena:num_requests_waiting")
    found = warnings(own, release=release, profile=profile, namespace=namespace)
    assert ["nothing scales in this namespace" in text for text in found] == [True] * (not read)
    # The setting may be wrong: only the chart knows where kthena is.
    assert all("(kthena.namespace of the chart)" in text for text in found)
    unscaled = warnings(backend(), release=release, profile=profile, namespace=namespace)
    assert unscaled == []
    hidden = {"kthena_namespace": ""}
    assert warnings(own, release=release, profile=profile, options=hidden) == []


@pytest.mark.parametrize("release", PROFILES)
def test_policy_of_the_model(release: str) -> None:
    backends = [
        backend("a", **BOUNDS, scalingCost=1),
        backend("b", minReplicas=0, maxReplicas=2, scalingCost=1),
    ]
    found = warnings(*backends, release=release, autoscalingPolicy=policy())
    if release != "v0.1.0":
        assert found == []
        return
    assert said(found) == [
        "the installed kthena v0.1.0 cannot weigh backends ",
        "the installed kthena v0.1.0 scales each backend by",
    ]
    assert found[1].startswith("spec.backends[1].minReplicas: ")


@pytest.mark.parametrize(
    ("name", "target", "limit", "warned"),
    [
        ("kthena:num_requests_waiting", 9, 10, False),
        ("kthena:num_requests_waiting", "9999m", 10, False),
        ("kthena:num_requests_waiting", 10, 10, True),
        ("kthena:num_requests_waiting", "1k", 10, True),
        ("vllm:num_requests_waiting", 10, 10, True),
        ("kthena:num_requests_waiting", 10, 20, False),
        ("kthena:num_requests_waiting", 1, 1, True),
        ("vllm:num_requests_running", 100, 10, False),
    ],
)
def test_targets_and_the_limit_of_the_router(
    name: str, target: Any, limit: int, warned: bool
) -> None:
    found = warnings(by(name, target), options={"max_waiting_requests": limit})
    want = f"{METRIC}.targetValue: {target} is hardly exceeded: once {limit} requests wait"
    assert [text.startswith(want) for text in found] == [True] * warned
    example = {1: "500m", 10: "5"}.get(limit, "")
    assert all(
        text.endswith(f"write a target below {limit}, for example {example}") for text in found
    )


V9, V10, V11, V12, V16 = (
    f"vllm/vllm-openai:v0.{n}" for n in ("9.1", "10.2", "11.2", "12.0", "16.0")
)
SGLANG = "lmsysorg/sglang:v0.5.23"


@pytest.mark.parametrize(
    ("name", "image", "words"),
    [
        ("vllm:gpu_cache_usage_perc", V10, ""),
        ("vllm:gpu_cache_usage_perc", V11, "vLLM 0.11.2 no longer exports"),
        ("vllm:kv_cache_usage_perc", V9, "vLLM 0.9.1 does not export vllm:kv_cache_usage_per"),
        ("vllm:kv_cache_usage_perc", V16, ""),
        ("vllm:time_per_output_token_seconds", V11, ""),
        ("vllm:time_per_output_token_seconds", V12, "vLLM 0.12.0 no longer exports"),
        ("kthena:time_per_output_token_seconds", V11, ""),
        ("kthena:time_per_output_token_seconds", V16, "vLLM 0.16.0 no longer exports"),
        ("vllm:inter_token_latency_seconds", V9, "vLLM 0.9.1 does not export"),
        ("vllm:inter_token_latency_seconds", V10, ""),
        ("vllm:gpu_cache_usage_perc", "registry.example/vllm:own", ""),
        ("sglang:num_running_reqs", V16, 'the engines of backend "b1" do not export'),
        ("kthena:generation_tokens_total", V16, 'the sidecar never exports "kthena:generation'),
        ("kthena:num_requests_running", V16, 'the sidecar never exports "kthena:num_requests'),
        ("vllm:prompt_tokens_total", V16, "vllm:prompt_tokens_total counts up forever"),
        ("http_requests_total", V16, "http_requests_total counts up forever"),
        ("vllm:iteration_tokens_total", V16, ""),
        ("vllm:e2e_request_latency_seconds_sum", V16, "is a part of a histogram"),
        ("vllm:e2e_request_latency_seconds_bucket", V16, "is a part of a histogram"),
        ("vllm:e2e_request_latency_seconds", V16, ""),
        ("vllm:num_requests_running", V16, ""),
    ],
)
def test_metrics_that_say_nothing(name: str, image: str, words: str) -> None:
    own = [text for text in warnings(by(name, image=image)) if "tells no vLLM release" not in text]
    told = [text for text in own if text.startswith(f"{METRIC}.metricName: ")]
    assert own == told
    assert any(words in text for text in told) if words else not told


def test_hidden_metrics_can_be_shown() -> None:
    config = {"show-hidden-metrics-for-version": "0.10"}
    assert warnings(by("vllm:gpu_cache_usage_perc", image=V11, config=config)) == []


def test_each_engine_has_its_own_metrics() -> None:
    own = by("vllm:num_requests_running", image=SGLANG)
    found = warnings({**own, "type": "SGLang"})
    assert said(found)[0] == 'the engines of backend "b1" do not export vllm:num'
    right = by("sglang:num_running_reqs", image=SGLANG)
    assert warnings({**right, "type": "SGLang"}) == []


@pytest.mark.parametrize("release", PROFILES)
@pytest.mark.parametrize(
    ("name", "config", "ranks"),
    [
        ("kthena:num_requests_waiting", {"data-parallel-size": 4}, 4),
        ("vllm:kv_cache_usage_perc", {"data-parallel-size": "2"}, 2),
        ("vllm:e2e_request_latency_seconds", {"data-parallel-size": 4}, 0),
        ("kthena:num_requests_waiting", {"data-parallel-size": 1}, 0),
        ("kthena:num_requests_waiting", {}, 0),
    ],
)
def test_gauges_with_a_series_for_each_rank(
    release: str, name: str, config: Object, ranks: int
) -> None:
    found = warnings(by(name, config=config), release=release)
    if release == "v1.0.0" or not ranks:
        assert found == []
    else:
        (text,) = found
        assert text.startswith(f"{METRIC}.metricName: each of {ranks} data parallel ranks")


@pytest.mark.parametrize("release", ["v0.1.0", "v0.4.0", "v1.0.0"])
def test_one_target_for_different_numbers_of_pods(release: str) -> None:
    def both(one: int, other: int) -> list[str]:
        backends = [
            backend(name, **BOUNDS, scalingCost=1, workers=[worker(replicas=replicas)])
            for name, replicas in (("a", one), ("b", other))
        ]
        found = warnings(*backends, release=release, autoscalingPolicy=policy())
        return [text for text in found if "sum over the pods of a replica" in text]

    assert both(2, 2) == []
    assert len(both(1, 2)) == (release != "v0.1.0")


def test_nothing_is_said_of_unscaled_prefill_and_decode() -> None:
    metrics = [{"metricName": "kthena:num_requests_waiting", "targetValue": 10}]
    own = disaggregated(**BOUNDS, autoscalingPolicy=policy(metrics=metrics))
    (text,) = warnings(own, release="v0.1.0", namespace="default")
    assert "cannot scale vLLMDisaggregated" in text


@pytest.mark.parametrize(
    ("release", "namespace", "told"),
    [("v0.1.0", "default", True), ("v0.1.0", "kthena-system", False), ("v0.4.0", "default", False)],
)
def test_status_says_that_nobody_reads_the_policy(release: str, namespace: str, told: bool) -> None:
    """For an object that was stored before anybody could say so at admission."""
    own = backend(**BOUNDS, autoscalingPolicy=policy())
    stored = stored_object("m", own, metadata={"namespace": namespace})
    options = Options(kthena_release=read_kthena_release(release))
    (note,) = desired_state(stored, Context(options, PROFILES[release])).notes or ("",)
    assert note.startswith("nothing is scaled: ") is told
    assert ("(kthena.namespace of the chart)" in note) is told
    plain = stored_object("m", metadata={"namespace": namespace})
    assert desired_state(plain, Context(options, PROFILES[release])).notes == ()
