"""Without a rule something really breaks: shown once for each, on its own case.

What breaks is a child or a pod that a real server or kthena's webhooks refuse, a program that
cannot start, or something that the user wrote and nobody would ever read. Conversion is asked
directly here, so that no rule speaks first.
"""

from __future__ import annotations

import argparse
import copy
import errno
import json
import re
import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request

import pytest

from app.apis.kinds import (
    AUTOSCALING_POLICY_BINDING,
    JOB,
    MODEL_ROUTE,
    MODEL_SERVER,
    MODEL_SERVING,
    Profile,
)
from app.apis.modelbooster import ModelBooster
from app.convert import desired_children
from app.convert.options import Options
from app.convert.pods.inputs import PodInputs
from app.convert.warmup import warmup_inputs, warmup_job
from app.model.arguments import arguments
from app.model.canonical import canonical
from app.model.children import Desired
from app.model.engine import engine as engine_of
from app.model.forms import Model
from app.validation import Context, validate
from app.validation.rules import RULES
from app.values.meta import Object, Resource
from controller.warmup.planner import plan_warmup
from tests.answers.cases import AnswerCase, cases, rule_names
from tests.builders import UID, backend, booster_object, disaggregated, lora, policy
from tests.controlplane.api import Refused
from tests.controlplane.plane import ControlPlane
from tests.engine_parsers import Refused as Rejected
from tests.engine_parsers import read_back
from tests.kthena import booster_refusals, refusals
from tests.world import Admin

POD = Resource("", "v1", "pods", "Pod")
SERVICE = Resource("", "v1", "services", "Service")
RUNTIME_CLASS = Resource("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass")
SERVICE_ACCOUNT = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DRY = {"dryRun": "All", "fieldValidation": "Strict"}

Way = tuple[str | int, ...]
Proof = Callable[[AnswerCase, Admin], None]


def form(case: AnswerCase) -> Model:
    """The canonical form of the object of a case."""
    return canonical(ModelBooster.model_validate(case.placed))


def made(obj: Object, profile: Profile = Profile.B, uid: str = UID) -> list[Desired]:
    """Returns what conversion makes of an object, whatever the rules say of it."""
    metadata = {"namespace": "default", **obj["metadata"], "uid": uid}
    model = canonical(ModelBooster.model_validate({**obj, "metadata": metadata}))
    return desired_children(model, profile, Options())


def child(obj: Object, resource: Resource) -> Object:
    """Returns the spec of the first child of a kind."""
    found = next(each.object for each in made(obj) if each.resource == resource)
    spec: Object = copy.deepcopy(found["spec"])
    return spec


def changed(obj: Object, way: Way, *value: Any) -> Object:
    """Returns a copy of an object with a field set, or taken out if there is no value."""
    copied = copy.deepcopy(obj)
    at: Any = copied
    for step in way[:-1]:
        at = at[step]
    if value:
        at[way[-1]] = value[0]
    else:
        del at[way[-1]]
    return copied


def create(admin: Admin, resource: Resource, name: str, spec: Object) -> Object:
    """Creates an object; nothing is stored."""
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": name},
        "spec": spec,
    }
    return admin.api.request("POST", admin.path(resource), body, params=DRY)


def create_pod(admin: Admin, spec: Object) -> Object:
    """Creates a pod; nothing is stored."""
    admin.until(SERVICE_ACCOUNT, "default")
    return create(admin, POD, "pod", spec)


def pod(obj: Object) -> Object:
    """Returns the first pod of the first role."""
    spec: Object = child(obj, MODEL_SERVING)["template"]["roles"][0]["entryTemplate"]["spec"]
    return spec


def engine(obj: Object, role: int = 0) -> list[str]:
    """Returns the command of an engine."""
    roles = child(obj, MODEL_SERVING)["template"]["roles"]
    command: list[str] = roles[role]["entryTemplate"]["spec"]["containers"][-1]["command"]
    return command


def after(command: list[str], flag: str) -> str:
    """Returns the argument of a flag."""
    return command[command.index(flag) + 1]


# What the user wrote and nobody would read.


def is_ignored(*ways: Way) -> Proof:
    """Shows that children are the same without a field that was written."""

    def proof(case: AnswerCase, _: Admin) -> None:
        without = case.object
        for way in ways:
            without = changed(without, way)
        for profile in Profile:
            with_it, without_it = (
                [
                    (c.resource, c.object["metadata"]["name"], c.object["spec"])
                    for c in made(obj, profile)
                ]
                for obj in (case.object, without)
            )
            assert with_it == without_it != []

    return proof


FIRST: Way = ("spec", "backends", 0)


def nothing_is_made(case: AnswerCase, _: Admin) -> None:
    assert made(case.object) == []


def one_of_two_adapters_is_lost(case: AnswerCase, _: Admin) -> None:
    command = engine(case.object)
    modules = command[command.index("--lora-modules") + 1 :]
    assert len(modules) == 2
    assert len({json.loads(module)["name"] for module in modules}) == 1


def the_last_argument_wins(case: AnswerCase, _: Admin) -> None:
    """As of every program that reads its arguments with argparse; vLLM does."""
    config = case.object["spec"]["backends"][0]["workers"][0]["config"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-model-len", type=int)
    words = [f"--{key.replace('_', '-')}={value}" for key, value in config.items()]
    assert parser.parse_args(words).max_model_len == list(config.values())[-1]
    assert len(words) == 2


def the_last_adapters_win(case: AnswerCase, _: Admin) -> None:
    """As above, with an argument that takes several values."""
    backend = case.object["spec"]["backends"][0]
    (ours,) = backend["loraAdapters"]
    theirs = backend["workers"][0]["config"]["lora-modules"]
    parser = argparse.ArgumentParser()
    parser.add_argument("--lora-modules", nargs="+")
    command = engine(changed(case.object, (*FIRST, "workers", 0, "config")))
    at = command.index("--lora-modules")
    given = parser.parse_args(["--lora-modules", theirs, *command[at:]]).lora_modules
    assert [json.loads(module)["name"] for module in given] == [ours["name"]]


def engine_rejects_its_words(case: AnswerCase, _: Admin) -> None:
    """The parser of the release, built from its table, ends with an error."""
    worker = form(case).backends[0].workers[0]
    with pytest.raises(Rejected):
        read_back(engine_of(worker).table, arguments(worker).words)


def engine_gets_half_of_a_pair(case: AnswerCase, _: Admin) -> None:
    """vLLM checks this after parsing: it raises TypeError before it loads the model."""
    command = engine(case.object)
    assert "--enable-auto-tool-choice" in command
    assert "--tool-call-parser" not in command


def router_is_told_nothing_of_it(*way: str | int) -> Proof:
    """Shows that what the router reads is the same without a field that was written."""

    def proof(case: AnswerCase, _: Admin) -> None:
        for resource in (MODEL_SERVER, MODEL_ROUTE):
            without = changed(case.object, way)
            assert child(case.object, resource) == child(without, resource)

    return proof


def router_has_no_connector(case: AnswerCase, _: Admin) -> None:
    """Nothing in the ModelServer names one; kthena v0.1.0 does not choose by the engine."""
    server = child(case.object, MODEL_SERVER)
    assert server["inferenceEngine"] == "SGLang"
    assert "pdGroup" in server["workloadSelector"]
    assert "kvConnector" not in server


# What an autoscaler cannot do.


def bounds(case: AnswerCase, **fields: Any) -> tuple[int, int]:
    obj = copy.deepcopy(case.object)
    obj["spec"]["backends"][0].update(fields)
    target = child(obj, AUTOSCALING_POLICY_BINDING)["homogeneousTarget"]
    return target["minReplicas"], target["maxReplicas"]


def no_number_fits(case: AnswerCase, _: Admin) -> None:
    least, most = bounds(case, autoscalingPolicy=policy())
    assert [number for number in range(10) if least <= number <= most] == []


def there_is_one_number_only(case: AnswerCase, _: Admin) -> None:
    least, most = bounds(case)
    assert least == most


def nothing_is_measured(case: AnswerCase, _: Admin) -> None:
    """Metrics come from the pods of the targets, and no target has a pod."""
    servings = {
        c.object["metadata"]["name"]: c.object["spec"]["replicas"]
        for c in made(case.object)
        if c.resource == MODEL_SERVING
    }
    binding = child(case.object, AUTOSCALING_POLICY_BINDING)
    params = binding.get("heterogeneousTarget", {}).get("params") or [binding["homogeneousTarget"]]
    assert [servings[param["target"]["targetRef"]["name"]] for param in params] == [0]


def nothing_can_be_compared(case: AnswerCase, _: Admin) -> None:
    target = child(case.object, AUTOSCALING_POLICY_BINDING)["heterogeneousTarget"]
    assert [param.get("cost", 0) for param in target["params"]] == [0]


# What kthena refuses.


def kthena_refuses(fault: str) -> Proof:
    """Shows that a webhook of kthena's refuses a child."""

    def proof(case: AnswerCase, _: Admin) -> None:
        assert any(fault in text for text in refusals(made(case.object), Profile.B))

    return proof


def kthena_refuses_it_itself(fault: str) -> Proof:
    """Shows that the ModelBooster is beyond a limit that kthena documents, by its own webhook."""

    def proof(case: AnswerCase, _: Admin) -> None:
        assert any(fault in text for text in booster_refusals(case.object))

    return proof


def kthena_refuses_metrics(fault: str) -> Proof:
    """Shows that a webhook of kthena's refuses a policy with these metrics."""

    def proof(case: AnswerCase, _: Admin) -> None:
        wrong = case.object["spec"]["backends"][0]["autoscalingPolicy"]
        right = changed(case.object, (*FIRST, "autoscalingPolicy"), policy())
        children = made(right)
        assert refusals(children, Profile.B) == []
        children[0].object["spec"]["metrics"] = wrong["metrics"]
        assert [text for text in refusals(children, Profile.B) if fault in text]

    return proof


def kthena_refuses_its_rule(case: AnswerCase, _: Admin) -> None:
    """The one that sends requests for the adapter to backends of no weight."""
    children = made(changed(case.object, ("spec", "backends", 1, "routeWeight")))
    assert refusals(children, Profile.B) == []
    route = next(child.object for child in children if child.resource == MODEL_ROUTE)
    (target,) = route["spec"]["rules"][1]["targetModels"]
    target["weight"] = case.object["spec"]["backends"][1]["routeWeight"]
    assert [text for text in refusals(children, Profile.B) if "the sum is 0" in text]


# What the server refuses.


def refused(admin: Admin, resource: Resource, name: str, spec: Object, field: str) -> None:
    with pytest.raises(Refused) as caught:
        create(admin, resource, name, spec)
    assert caught.value.status == 422
    assert field in str(caught.value)


def second_role_of_a_name_is_refused(case: AnswerCase, admin: Admin) -> None:
    types = [worker["type"] for worker in case.object["spec"]["backends"][0]["workers"]]
    spec = child(booster_object("m", disaggregated()), MODEL_SERVING)
    create(admin, MODEL_SERVING, "m", spec)
    roles = {role["name"]: role for role in spec["template"]["roles"]}
    spec["template"]["roles"] = [roles[kind] for kind in types]
    refused(admin, MODEL_SERVING, "m", spec, "spec.template.roles")


def port_is_refused(case: AnswerCase, admin: Admin) -> None:
    config = case.object["spec"]["backends"][0]["workers"][0]["config"]
    spec = child(booster_object(), MODEL_SERVER)
    create(admin, MODEL_SERVER, "m", spec)
    spec["workloadPort"]["port"] = config["port"]
    refused(admin, MODEL_SERVER, "m", spec, "spec.workloadPort.port")


def adapters_are_refused(case: AnswerCase, admin: Admin) -> None:
    spec = child(booster_object(), MODEL_ROUTE)
    names = [a["name"] for b in case.object["spec"]["backends"] for a in b["loraAdapters"]]
    create(admin, MODEL_ROUTE, "m", {**spec, "loraAdapters": names[1:]})
    refused(admin, MODEL_ROUTE, "m", {**spec, "loraAdapters": names}, "spec.loraAdapters")


def service_is_refused(case: AnswerCase, admin: Admin) -> None:
    """The one that kthena makes for each replica of a role with followers."""
    backend_name = case.object["spec"]["backends"][0]["name"]
    generated = f"{case.object['metadata']['name']}-{backend_name}-0-leader-0-0"
    spec = {"clusterIP": "None", "ports": [{"port": 8000}]}
    create(admin, SERVICE, generated[-50:].lstrip("-0123456789"), spec)
    refused(admin, SERVICE, generated, spec, "metadata.name")


def pod_without_image_is_refused(case: AnswerCase, admin: Admin) -> None:
    (written,) = case.object["spec"]["backends"][0]["workers"]
    spec = pod(booster_object())
    create_pod(admin, spec)
    spec["containers"][-1]["image"] = written["image"]
    refused(admin, POD, "pod", spec, "image: Required value")


def its_pod_is_refused(case: AnswerCase, admin: Admin) -> None:
    """In the words that the rule has for it, but for the place and the value."""
    create_pod(admin, pod(booster_object()))
    said = case.said()[0].rpartition(": ")[2]
    refused(admin, POD, "pod", pod(case.object), said)


def no_runtime_class_has_the_name(case: AnswerCase, admin: Admin) -> None:
    """And of pods that name one that does not exist the server makes none."""
    name = case.object["spec"]["backends"][0]["runtimeClassName"]
    for wanted, is_taken in ((name.lower(), True), (name, False)):
        try:
            runtime_class = {"metadata": {"name": wanted}, "handler": "runc"}
            admin.api.request("POST", RUNTIME_CLASS.path(None), runtime_class, params=DRY)
        except Refused as exc:
            assert (is_taken, exc.status) == (False, 422)  # noqa: PT017  # which is what counts
        else:
            assert is_taken
    with pytest.raises(Refused, match="not found"):
        create_pod(admin, pod(case.object))


def pod_with_dots_is_refused(case: AnswerCase, admin: Admin) -> None:
    folder = case.object["spec"]["backends"][0]["cacheURI"].removeprefix("hostpath://")
    spec = pod(booster_object("m", backend(cacheURI="hostpath:///models")))
    create_pod(admin, spec)
    spec["volumes"][0]["hostPath"]["path"] = folder
    refused(admin, POD, "pod", spec, "must not contain '..'")


def its_job_is_refused(case: AnswerCase, admin: Admin) -> None:
    """A Job for a claim carries the labels as its node selector."""
    spec = case.object["spec"]["backends"][0]
    warmed = warmup_job(warmup_of(backend(cacheURI="pvc://models", cacheWarmup={})))
    create(admin, JOB, "warm", warmed["spec"])
    broken = backend(**{**spec, "cacheURI": "pvc://models"})
    refused(admin, JOB, "warm", warmup_job(warmup_of(broken))["spec"], "must be an empty string")


def no_node_is_chosen(case: AnswerCase, _: Admin) -> None:
    inputs = warmup_of(case.object["spec"]["backends"][0])
    assert plan_warmup(inputs, [], [], datetime.now(UTC)).create == ()


def warmup_of(written: Object) -> PodInputs:
    model = canonical(ModelBooster.model_validate(booster_object("m", written)))
    inputs = warmup_inputs(model, model.backends[0], Profile.B, Options())
    assert inputs is not None
    return inputs


# What a program cannot do.


def program_cannot_be_started(case: AnswerCase, _: Admin) -> None:
    config = case.object["spec"]["backends"][0]["workers"][0]["config"]
    with pytest.raises(ValueError, match="null byte"):
        subprocess.run(["true", *config.values()], check=False)


def port_is_taken(case: AnswerCase, _: Admin) -> None:
    """By the engine: containers of a pod share one network."""
    env = case.object["spec"]["backends"][0]["env"]
    engine_port = child(booster_object(), MODEL_SERVER)["workloadPort"]["port"]
    assert env == [{"name": "RUNTIME_PORT", "value": str(engine_port)}]
    with socket.create_server(("127.0.0.1", 0)) as first:
        with pytest.raises(OSError, match="in use") as caught:
            socket.create_server(first.getsockname(), reuse_port=False).close()
        assert caught.value.errno == errno.EADDRINUSE


def sidecar_asks_nobody(case: AnswerCase, _: Admin) -> None:
    """Its arguments are written before any ConfigMap is read."""
    args = pod(case.object)["containers"][0]["args"]
    with pytest.raises(ValueError, match="unknown url type"):
        Request(after(args, "--engine-base-url") + after(args, "--engine-metrics-path"))  # noqa: S310


def model_lies_on_no_mount(case: AnswerCase, _: Admin) -> None:
    (written,) = case.object["spec"]["backends"]
    spec = pod(booster_object("m", backend(cacheURI=written["cacheURI"])))
    mounts = [mount["mountPath"] for mount in spec["containers"][-1]["volumeMounts"]]
    source = "/" + written["modelURI"].removeprefix("pvc://")
    assert [mount for mount in mounts if source.startswith(f"{mount}/")] == []


def each(case: AnswerCase, position: int) -> Object:
    """Returns the case with one worker's config given to both."""
    obj = copy.deepcopy(case.object)
    workers = obj["spec"]["backends"][0]["workers"]
    for one in workers:
        one["config"] = case.object["spec"]["backends"][0]["workers"][position]["config"]
    return obj


def decode_does_not_know_the_model(case: AnswerCase, _: Admin) -> None:
    """The router asks both engines for the one name that a ModelServer has."""
    asked_for = child(each(case, 0), MODEL_SERVER)["model"]
    assert after(engine(each(case, 0), 0), "--served-model-name") == asked_for
    assert after(engine(each(case, 1), 1), "--served-model-name") != asked_for


def one_side_cannot_hand_over(case: AnswerCase, admin: Admin) -> None:
    """A ModelServer has one connector, and no room for two."""
    servers = [child(each(case, position), MODEL_SERVER) for position in (0, 1)]
    kinds = [server["kvConnector"]["type"] for server in servers]
    assert kinds == ["nixl", "lmcache"]
    both = {**servers[0], "kvConnector": {"type": kinds}}
    refused(admin, MODEL_SERVER, "m", both, "spec.kvConnector.type")


def engine_counts_nothing(case: AnswerCase, _: Admin) -> None:
    """And the sidecar only renames what the engine counts."""
    assert "--disable-log-stats" in engine(case.object)
    (metric,) = case.object["spec"]["backends"][0]["autoscalingPolicy"]["metrics"]
    assert metric["metricName"].startswith("kthena:")


def key_is_of_no_use_alone(case: AnswerCase, _: Admin) -> None:
    """To the library that engines serve TLS with."""
    config = case.object["spec"]["backends"][0]["workers"][0]["config"]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with pytest.raises(TypeError, match="certfile"):
        context.load_cert_chain(config.get("ssl-certfile"), config["ssl-keyfile"])


def hub_has_no_such_repository(case: AnswerCase, _: Admin) -> None:
    """The downloader asks for it as written; the hub allows these characters in names."""
    (download,) = pod(case.object)["initContainers"]
    asked_for = after(download["args"], "--source").removeprefix("hf://")
    assert re.fullmatch(r"([\w.-]{1,96}/)?[\w.-]{1,96}", asked_for) is None


# What the router would do.


def adapter_is_never_reached(_: AnswerCase, __: Admin) -> None:
    """The first rule that matches decides, and it is the model's."""
    having = backend("b", loraAdapters=[lora("demo")])
    rules = child(booster_object("demo", backend("a", routeWeight=100), having), MODEL_ROUTE)[
        "rules"
    ]
    matching = [rule for rule in rules if rule["modelMatch"]["body"]["model"] == "demo"]
    assert [rule["name"] for rule in matching] == ["default", "demo"]
    assert matching[0]["targetModels"] != matching[1]["targetModels"]


def route_by_hand_is_lost(case: AnswerCase, admin: Admin) -> None:
    (written,) = case.beside
    by_hand = {**written, "spec": {**written["spec"], "modelName": "demo"}}
    admin.create(MODEL_ROUTE, by_hand)
    ours = next(each.object for each in made(case.object) if each.resource == MODEL_ROUTE)
    ours["metadata"]["namespace"] = admin.namespace
    taken = admin.apply(MODEL_ROUTE, ours)
    assert taken["spec"]["rules"] != by_hand["spec"]["rules"]


def two_routes_claim_a_name(case: AnswerCase, admin: Admin) -> None:
    """And no server minds."""
    routes = [child(obj, MODEL_ROUTE) for obj in (case.object, *case.others)]
    for position, route in enumerate(routes):
        create(admin, MODEL_ROUTE, f"m{position}", route)
    assert routes[0]["modelName"] == routes[1]["modelName"]
    assert routes[0]["rules"] != routes[1]["rules"]


def objects_are_taken_away(case: AnswerCase, admin: Admin) -> None:
    """The last writer owns the object, so two controllers with one name overwrite each other."""
    owners = zip((*case.others, case.object), (UID, UID[::-1]), strict=True)
    first, second = (
        next(c.object for c in made(obj, uid=uid) if c.resource == MODEL_SERVING)
        for obj, uid in owners
    )
    for wanted in (first, second, first):
        wanted["metadata"]["namespace"] = admin.namespace
        taken = admin.apply(MODEL_SERVING, wanted)
        assert taken["metadata"]["name"] == "a-b-c"
        assert [ref["uid"] for ref in taken["metadata"]["ownerReferences"]] == [
            ref["uid"] for ref in wanted["metadata"]["ownerReferences"]
        ]


PROOFS: dict[str, Proof] = {
    "shape.spec_is_there": nothing_is_made,
    "shape.one_form_of_backends": is_ignored(("spec", "backend")),
    "shape.replicas_or_bounds": is_ignored((*FIRST, "minReplicas"), (*FIRST, "maxReplicas")),
    "shape.replica_bounds_in_order": no_number_fits,
    "shape.workers_fit_type": second_role_of_a_name_is_refused,
    "shape.lora_names_differ_within_backend": one_of_two_adapters_is_lost,
    "shape.grace_period_in_range": kthena_refuses_it_itself("cannot exceed 1800 seconds"),
    "shape.panic_policy_is_absent": is_ignored((*FIRST, "autoscalingPolicy", "behavior")),
    "shape.behavior_is_absent": is_ignored((*FIRST, "autoscalingPolicy", "behavior")),
    "scaling.one_level_of_policies": is_ignored((*FIRST, "autoscalingPolicy")),
    "scaling.replicas_are_bounds_under_policy": there_is_one_number_only,
    "scaling.bounds_are_equal_without_policy": is_ignored((*FIRST, "maxReplicas")),
    "scaling.backend_policy_keeps_one_replica": nothing_is_measured,
    "scaling.model_policy_keeps_one_replica": nothing_is_measured,
    "scaling.model_policy_has_costs": nothing_can_be_compared,
    "scaling.costs_have_model_policy": is_ignored((*FIRST, "scalingCost")),
    "scaling.grace_period_has_model_policy": is_ignored((*FIRST, "scaleToZeroGracePeriod")),
    "scaling.replicas_add_up": kthena_refuses_it_itself("cannot exceed 1000000"),
    "scaling.metric_names_differ": kthena_refuses_metrics("duplicate metric name"),
    "scaling.metric_targets_are_positive": kthena_refuses_metrics("must be greater than 0"),
    "metrics.scaled_engines_report_metrics": engine_counts_nothing,
    "engines.images_are_named": pod_without_image_is_refused,
    "engines.images_are_references": kthena_refuses("entryTemplate: image"),
    "engines.config_is_plain": program_cannot_be_started,
    "engines.arguments_are_said_once": the_last_argument_wins,
    "engines.engine_ports_agree": port_is_refused,
    "engines.sidecar_has_a_port": port_is_taken,
    "engines.served_names_agree": decode_does_not_know_the_model,
    "engines.adapters_are_named_once": the_last_adapters_win,
    "encryption.keys_have_certificates": key_is_of_no_use_alone,
    "sglang.sglang_roles_are_routed": router_has_no_connector,
    "sglang.bootstrap_port_is_the_default": router_is_told_nothing_of_it(
        *(*FIRST, "workers", 0, "config")
    ),
    "engine_flags.annotations_are_valid": is_ignored(("metadata", "annotations")),
    "engine_flags.arguments_fit_engine": engine_rejects_its_words,
    "engine_flags.arguments_fit_together": engine_gets_half_of_a_pair,
    "engines.transfers_fit": one_side_cannot_hand_over,
    "addresses.addresses_have_their_form": hub_has_no_such_repository,
    "engines.caches_are_usable": pod_with_dots_is_refused,
    "engines.claims_hold_their_models": model_lies_on_no_mount,
    "warmups.warmups_can_work": no_node_is_chosen,
    "environment.variables_have_names": its_pod_is_refused,
    "environment.variables_have_one_source": its_pod_is_refused,
    "sources.sources_can_be_read": its_pod_is_refused,
    "environment.env_from_names_one_object": its_pod_is_refused,
    "environment.sidecar_finds_its_engine": sidecar_asks_nobody,
    "amounts.resource_names_are_known": its_pod_is_refused,
    "amounts.amounts_are_possible": its_pod_is_refused,
    "amounts.requests_fit_limits": its_pod_is_refused,
    "amounts.huge_pages_have_company": its_pod_is_refused,
    "amounts.claims_are_absent": its_pod_is_refused,
    "placement.tolerations_are_sound": its_pod_is_refused,
    "placement.node_affinity_is_sound": its_pod_is_refused,
    "placement.pod_affinity_is_sound": its_pod_is_refused,
    "placement.runtime_class_is_a_name": no_runtime_class_has_the_name,
    "warmups.warmup_placement_is_sound": its_job_is_refused,
    "routing.names_leave_room": service_is_refused,
    "routing.lora_names_differ_from_model": adapter_is_never_reached,
    "routing.lora_names_are_few": adapters_are_refused,
    "routing.some_backend_has_weight": kthena_refuses("the sum is 0"),
    "routing.adapters_are_reachable": kthena_refuses_its_rule,
    "routing.match_patterns_compile": kthena_refuses("does not compile"),
    "others.route_is_ours": route_by_hand_is_lost,
    "others.model_name_is_free": two_routes_claim_a_name,
    "others.generated_names_are_free": objects_are_taken_away,
}


def test_every_rule_has_a_case() -> None:
    assert list(PROOFS) == rule_names(RULES)


def its_pod_is_refused_in_other_words(case: AnswerCase, admin: Admin) -> None:
    name = case.object["spec"]["backends"][0]["env"][0]["name"]
    refused(admin, POD, "pod", pod(case.object), json.dumps(name))


def its_claims_are_dropped(case: AnswerCase, admin: Admin) -> None:
    assert "claims" in pod(case.object)["containers"][-1]["resources"]
    assert (
        "claims" not in create_pod(admin, pod(case.object))["spec"]["containers"][-1]["resources"]
    )


BEFORE: dict[str, tuple[int, Proof]] = {
    "environment.variables_have_names": (32, its_pod_is_refused_in_other_words),
    "amounts.claims_are_absent": (34, its_claims_are_dropped),
}
"""The minor version from which on the API server says what the rule says; what it did before."""


@pytest.mark.parametrize("case", [pytest.param(case, id=case.rule) for case in cases("rules")])
def test_invalid_object_breaks_without_the_rule(
    case: AnswerCase, admin: Admin, plane: ControlPlane
) -> None:
    since, before = BEFORE.get(case.rule, (0, PROOFS[case.rule]))
    proof = PROOFS[case.rule] if plane.minor >= since else before
    proof(case, admin)


@pytest.mark.parametrize(
    ("name", "since"),
    [
        *(pytest.param(name, 0, id=name) for name in ("A", "_a", "a.b", "-a-", ".a")),
        *(pytest.param(name, 32, id=name) for name in ("1ST_TOKEN", "A B", "A/B", "..", "a:b")),
    ],
)
def test_names_of_variables_are_warned_about_if_an_old_server_refuses_their_pods(
    name: str, since: int, admin: Admin, plane: ControlPlane
) -> None:
    obj = booster_object("m", backend(env=[{"name": name, "value": "x"}]))
    verdict = validate(obj, Context())
    assert verdict.faults == ()
    assert any("before 1.32" in text for text in verdict.warnings) == bool(since)
    if plane.minor >= since:
        create_pod(admin, pod(obj))
    else:
        refused(admin, POD, "pod", pod(obj), json.dumps(name))
