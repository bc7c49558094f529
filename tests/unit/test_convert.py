"""Properties of all children, for every golden case."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.apis.kinds import CHILDREN, Profile
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.diff import child_diffs
from app.convert.gang import keep_gang_policy
from app.convert.options import Options
from app.model.canonical import canonical
from app.values.fields import SpecError
from app.values.meta import Object
from app.values.quantity import canonical_quantity
from controller.plan.planner import make_plan
from modelbooster.offline.dialect import to_yaml
from tests import sizes
from tests.builders import backend, disaggregated, lora, model, policy, worker
from tests.golden.cases import CASES, PROFILES, booster, children

EVERY = pytest.mark.parametrize("case", CASES)
DURATION = re.compile(r"0s|([1-9][0-9]*h)?([0-9]+m)?[0-9]+s")


def all_children(case: str) -> list[Object]:
    return [child for profile in PROFILES for child in children(case, profile)]


def walk(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for item in value:
            yield from walk(item, path)


@cache
def everything() -> list[tuple[str, tuple[str, ...], Any]]:
    """Case, path and value of everything in the specs of all children; do not change it."""
    return [
        (case, path, value)
        for case in CASES
        for child in all_children(case)
        for path, value in walk(child["spec"])
    ]


def test_children_are_rendered_in_the_order_of_apply() -> None:
    order = [resource.kind for resource in CHILDREN]
    for case, profile in itertools.product(CASES, PROFILES):
        kinds = [order.index(child["kind"]) for child in children(case, profile)]
        assert kinds == sorted(kinds), case
        assert kinds.count(order.index("ModelRoute")) == 1, case


def test_rendering_is_deterministic() -> None:
    for case in CASES:
        assert json.dumps(all_children(case)) == json.dumps(all_children(case)), case


@EVERY
@pytest.mark.slow
def test_shared_parts_render_without_yaml_anchors(case: str) -> None:
    """Containers may share one object; YAML must not show that by anchors."""
    assert not re.search(r"[-:] [&*]id[0-9]+", to_yaml(all_children(case)))


@EVERY
def test_shared_parts_are_never_modified(case: str) -> None:
    """The writer adds guards, live replicas and gang policies to a copy."""
    meaning = canonical(ModelBooster.model_validate(booster(case)))
    for profile in sizes.sample(PROFILES, case):
        wanted = desired_children(meaning, profile, Options())
        before = json.dumps([child.object for child in wanted])
        live = json.loads(before)
        for obj in live:
            obj["metadata"] |= {"uid": obj["metadata"]["name"], "resourceVersion": "1"}
            obj["spec"]["replicas"] = 3
        assert len(make_plan(meaning, wanted, []).actions) == len(wanted)
        make_plan(meaning, wanted, live)
        child_diffs(wanted, desired_children(meaning, profile, Options(runtime_image="other")))
        assert json.dumps([child.object for child in wanted]) == before


def test_empty_fields_are_not_sent() -> None:
    """No null, and nothing that Go omits: empty lists, or empty strings outside of maps."""
    for case, path, value in everything():
        assert value is not None, (case, path)
        assert value != [], (case, path)
        is_map = path[-1:] in {("value",), ("args",)} or "matchLabels" in path
        assert value != "" or is_map, (case, path)


def test_pod_templates_hold_no_volatile_values() -> None:
    four = {"model-name", "backend-name", "model-uid", "managed-by"}
    for case, path, value in everything():
        if path[-1:] == ("labels",):
            names = {name.removeprefix("workload.serving.volcano.sh/") for name in value}
            assert names == four, case
        assert "annotations" not in path, case


def test_quantities_and_durations_are_in_canonical_form() -> None:
    for case, path, value in everything():
        name = path[-1] if path else ""
        if path[-2:-1] in {("limits",), ("requests",)} or name in {"targetValue", "divisor"}:
            assert value == canonical_quantity(value), (case, path)
        if name in {"period", "retryInterval", "panicModeHold"}:
            assert DURATION.fullmatch(value), (case, path)


AMOUNT = st.one_of(
    st.integers(0, 2**40),
    st.builds(
        "{}{}".format,
        st.decimals(0, 10**6, places=3),
        st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3"]),
    ),
)


@given(limits=st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), AMOUNT))
def test_any_valid_quantity_becomes_canonical(limits: Object) -> None:
    pods = [worker(pods=2, resources={"limits": limits, "requests": limits})]
    options = Options(downloader_resources={"limits": limits})
    env = [
        {"name": name, "valueFrom": {"resourceFieldRef": {"resource": "a", "divisor": amount}}}
        for name, amount in limits.items()
    ]
    made = desired_children(model("demo", backend(workers=pods, env=env)), Profile.B, options)

    seen = 0
    for child in made:
        for path, value in walk(child.object["spec"]):
            if path[-2:-1] in {("limits",), ("requests",)} or path[-1:] == ("divisor",):
                assert value == canonical_quantity(value)
                seen += 1
    assert seen >= 6 * len(limits)


def test_every_container_has_resources() -> None:
    for case, path, value in everything():
        if path[-1:] in {("containers",), ("initContainers",)} and isinstance(value, list):
            assert all("resources" in container for container in value), (case, path)


def test_download_options() -> None:
    options = Options(
        downloader_image="d:1",
        runtime_image="r:1",
        image_pull_policy="Always",
        downloader_resources={"limits": {"memory": "1024Mi"}},
        downloader_args=("--max-workers", "4"),
    )
    own = model("demo", backend(loraAdapters=[lora("sql")]))
    (serving, *_) = desired_children(own, Profile.B, options)
    pod = serving.object["spec"]["template"]["roles"][0]["entryTemplate"]["spec"]
    sidecar, engine = pod["containers"]

    for container in pod["initContainers"]:
        assert (container["image"], container["imagePullPolicy"]) == ("d:1", "Always")
        assert container["resources"] == {"limits": {"memory": "1Gi"}}
        assert container["args"][-2:] == ["--max-workers", "4"]
    assert (sidecar["image"], sidecar["imagePullPolicy"]) == ("r:1", "Always")
    assert "imagePullPolicy" not in engine


def test_kv_events_can_be_turned_off() -> None:
    quiet = Options(kv_events=False)
    (serving, *_) = desired_children(model("demo", disaggregated()), Profile.B, quiet)
    assert "kv-events" not in json.dumps(serving.object)


@pytest.mark.parametrize(
    ("own", "at"),
    [
        pytest.param(
            backend(workers=[worker(image=None)]), "workers[0].image", id="an engine has an image"
        ),
        pytest.param(
            backend(workers=[worker(image="")]), "workers[0].image", id="and it has a name"
        ),
        pytest.param(
            backend(workers=[worker(config={"lora_modules": "a=b"})], loraAdapters=[lora("c")]),
            "workers[0].config.lora_modules",
            id="adapters are named in one place",
        ),
        pytest.param(
            backend(workers=[worker(resources={"limits": {"cpu": "1e1.5"}})]),
            "workers[0].resources.limits[cpu]",
            id="an amount that the schema lets pass",
        ),
    ],
)
def test_conversion_fault_names_the_field(own: Object, at: str) -> None:
    with pytest.raises(SpecError) as caught:
        desired_children(model("demo", own), Profile.B, Options())
    assert str(caught.value.fault.path) == f"spec.backends[0].{at}"


def test_child_too_large_to_be_stored() -> None:
    def serving(characters: int) -> Object:
        env = [{"name": "A", "value": "x" * characters}]
        own = model("demo", backend(env=env, loraAdapters=[lora(f"a{n}") for n in range(9)]))
        return desired_children(own, Profile.B, Options())[0].object

    assert serving(80_000)["kind"] == "ModelServing"
    with pytest.raises(SpecError, match=r"^spec\.backends\[0\]: Too long: the ModelServing would"):
        serving(100_000)


def test_profile_a_rejects_file_key_ref() -> None:
    key = {"fileKeyRef": {"key": "k", "path": "p", "volumeName": "v"}}
    own = model("demo", backend(env=[{"name": "A", "valueFrom": key}]))
    with pytest.raises(SpecError, match=r"env\[0\]\.valueFrom\.fileKeyRef: Forbidden"):
        desired_children(own, Profile.A, Options())
    assert desired_children(own, Profile.B, Options())


@pytest.mark.parametrize(
    ("metrics", "at"),
    [
        ([{"metricName": "m", "targetValue": 0}], "metrics[0].targetValue"),
        ([{"metricName": "m", "targetValue": "-1"}], "metrics[0].targetValue"),
        ([{"metricName": "", "targetValue": 1}], "metrics[0].metricName"),
        ([{"metricName": "m", "targetValue": 1}] * 2, "metrics[1].metricName"),
    ],
)
def test_metrics_that_kthena_would_reject(metrics: list[Object], at: str) -> None:
    own = backend(minReplicas=1, maxReplicas=2, autoscalingPolicy=policy(metrics=metrics))
    with pytest.raises(SpecError) as caught:
        desired_children(model("demo", own), Profile.B, Options())
    assert str(caught.value.fault.path) == f"spec.backends[0].autoscalingPolicy.{at}"


def test_unreachable_adapter() -> None:
    several = [backend("a"), backend("b", routeWeight=0, loraAdapters=[lora("law"), lora("sql")])]
    with pytest.raises(SpecError) as caught:
        desired_children(model("demo", *several), Profile.B, Options())
    assert str(caught.value.fault.path) == "spec.backends[1].loraAdapters[0].name"


@pytest.mark.parametrize(
    ("least", "replicas", "stays"),
    [
        pytest.param({"leader": 2}, 2, True, id="as many"),
        pytest.param({"leader": 1}, 2, True, id="fewer"),
        pytest.param({"leader": 3}, 2, False, id="more than there will be"),
        pytest.param({"leader": 1, "prefill": 1}, 2, False, id="a role that is gone"),
        pytest.param({}, 2, True, id="none"),
    ],
)
def test_stored_gang_policy_is_kept_if_it_fits(
    least: dict[str, int], replicas: int, stays: bool
) -> None:
    wanted = {"roles": [{"name": "leader", "replicas": replicas}]}
    policy_now = {"minRoleReplicas": least}

    found = keep_gang_policy({"gangPolicy": policy_now, "roles": []}, wanted)

    assert found == ({**wanted, "gangPolicy": policy_now} if stays else None)


def test_without_stored_gang_policy_ours_is_sent() -> None:
    wanted = {"roles": [], "gangPolicy": {"minRoleReplicas": {}}}
    assert keep_gang_policy(None, wanted) == keep_gang_policy({"roles": []}, wanted) == wanted
