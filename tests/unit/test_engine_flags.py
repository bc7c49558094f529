"""What admission says of ``config`` from the tables of the engines, and what the pods run."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from app.apis.kinds import PROFILES, Profile
from app.convert import desired_children
from app.convert.options import Options
from app.engines.table import releases, table
from app.validation import Context, Verdict, validate, validate_and_convert
from app.validation.rules.running.engine_flags import COMBINED
from app.values.meta import Object
from tests.builders import (
    backend,
    booster_object,
    disaggregated,
    lora,
    model,
    stored_object,
    worker,
)

W0 = "spec.backends[0].workers[0]"
ANNOTATION = "workload.serving.volcano.sh/engine-release"
EVENTS = "--kv-events-config"


def written(tag: str, config: Object | None = None, *, name: str = "m", **fields: Any) -> Object:
    """A ModelBooster with one vLLM engine of a release."""
    image = tag if "/" in tag else f"vllm/vllm-openai:{tag}"
    one = worker(image=image, config=config or {}, **fields.pop("worker", {}))
    metadata = fields.pop("metadata", None)
    return booster_object(name, backend("a", workers=[one], **fields), metadata=metadata)


def verdict(obj: Object, old: Object | None = None) -> Verdict:
    return validate(obj, Context(), old=old)


def said(found: Verdict) -> list[str]:
    return [str(fault) for fault in found.faults]


def pods(tag: str, config: Object | None = None, **fields: Any) -> list[Object]:
    """The pods of one group: entry pod first."""
    obj = written(tag, config, **fields)
    metadata = {**(obj["metadata"]), "name": "m"}
    form = model("m", *obj["spec"]["backends"], metadata=metadata)
    (serving,) = (
        child.object
        for child in desired_children(form, Profile.B, Options())
        if child.resource.kind == "ModelServing"
    )
    (role,) = serving["spec"]["template"]["roles"]
    return [role[name]["spec"] for name in ("entryTemplate", "workerTemplate") if name in role]


def command(pod: Object) -> list[str]:
    words: list[str] = pod["containers"][-1]["command"]
    return words


def test_unknown_flag_of_a_known_release_is_refused_with_the_nearest_name() -> None:
    (text,) = said(verdict(written("v0.16.0", {"max_modle_len": 1})))
    assert text.startswith(f"{W0}.config.max_modle_len: Forbidden: vLLM 0.16.0 has no such flag")
    assert text.endswith("did you mean max-model-len?")


def test_thousands_of_unknown_flags_are_refused_quickly() -> None:
    config = {f"max-num-seqs-{n}": 1 for n in range(2000)}
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    verdict(written("v0.16.0", {"max-num-seqs-x": 1}))  # reads the tables
    # Counted, since the time of a process that has run other tests includes its garbage collection.
    sys.setprofile(count)
    try:
        texts = said(verdict(written("v0.16.0", config)))
    finally:
        sys.setprofile(None)

    assert "did you mean max-num-seqs?" in texts[0]
    assert texts[-1].endswith("1981 more faults")
    assert calls < 60 * len(config)  # a search for a similar name makes hundreds


def test_flag_that_is_gone_is_refused_with_its_successor() -> None:
    (text,) = said(verdict(written("v0.16.0", {"task": "embed"})))
    assert text.endswith("gone since 0.13.0, use runner and convert")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"max-num-seqs": "many"}, 'Invalid value: "many": must be a whole number'),
        ({"dtype": "fp16"}, 'Invalid value: "fp16": must be one of: '),
        ({"max-model": 4096}, "Forbidden: "),
        ({"model": "x"}, "Forbidden: the flag model is written for you; modelURI names the model"),
        ({"node-rank": 1}, "workers[].pods sets the number of nodes"),
        ({"--max-model-len": 1}, "is not spelled as a flag; write max-model-len"),
        ({"served-model-name": "a b"}, "must not hold a blank; write several names as a list"),
        ({"kv-transfer-config": {"kv_connector": "X"}}, "kv_connector needs kv_role"),
        (
            {"kv-transfer-config": {"kv_connector": "X", "kv_role": "both"}},
            "kv_role must be one of: kv_both, kv_consumer, kv_producer",
        ),
        ({"enable-auto-tool-choice": True}, "needs the parser of the model's tool calls"),
    ],
)
def test_what_the_engine_refuses_is_refused_at_admission(config: Object, words: str) -> None:
    (text,) = said(verdict(written("v0.16.0", config)))
    assert words in text


@pytest.mark.parametrize("config", [{"enable-auto-tool-choice": False}, {"model": None}])
def test_what_the_engine_does_not_see_is_no_fault(config: Object) -> None:
    assert verdict(written("v0.16.0", config)).faults == ()


@pytest.mark.parametrize("key", ["kv_rank", "kv_parallel_size", "kv_ip", "kv_buffer_size"])
def test_old_keys_of_the_transfer_are_refused_where_the_engine_refuses_them(key: str) -> None:
    config = {"kv-transfer-config": {"kv_connector": "X", "kv_role": "kv_both", key: 1}}
    assert verdict(written("v0.18.0", config)).faults == ()
    between = verdict(written("v0.20.0", config))
    assert between.faults == ()
    assert any(f"rejects {key}" in text for text in between.warnings)
    (text,) = said(verdict(written("v0.33.0", config)))
    assert f"vLLM 0.33.0 rejects {key}; leave it out" in text


def test_level_of_the_compilation_is_mode_in_new_releases() -> None:
    assert verdict(written("v0.18.0", {"compilation-config": {"level": 3}})).faults == ()
    (text,) = said(verdict(written("v0.33.0", {"compilation-config": {"level": 3}})))
    assert text.endswith("vLLM 0.33.0 has no level; write mode")
    assert verdict(written("v0.33.0", {"compilation-config": {"mode": 3}})).faults == ()


@pytest.mark.parametrize("image", ["registry.example/own:1", "vllm/vllm-openai:latest"])
def test_unknown_release_refuses_nothing_and_says_once_what_is_assumed(image: str) -> None:
    found = verdict(written(image, {"no-such-flag": 1, "other-flag": 2}))
    assert found.faults == ()
    assert len([text for text in found.warnings if "0.33.0 is assumed" in text]) == 1
    assert any(f"{W0}.config.no-such-flag" in text for text in found.warnings)


def test_annotation_states_the_release_of_an_image() -> None:
    stated = {"annotations": {ANNOTATION: "a=0.16.0"}}
    found = verdict(written("registry.example/own:1", {"swap-spaec": 1}, metadata=stated))
    (text,) = said(found)
    assert "vLLM 0.16.0 has no such flag; did you mean swap-space?" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("newest", '"newest" is not valid; write a release such as 0.16.0'),
        ("b=0.16.0", 'there is no backend "b"; there are: a'),
        ("a=0.16.0,a=0.33.0", 'has two values for backend "a"'),
        ("0.16.0,0.33.0", "has two values for all backends"),
        ("", "is not valid"),
    ],
)
def test_annotation_that_states_no_release_is_refused(text: str, words: str) -> None:
    obj = written("registry.example/own:1", metadata={"annotations": {ANNOTATION: text}})
    (fault,) = verdict(obj).faults
    assert str(fault.path) == f"metadata.annotations[{ANNOTATION}]"
    assert words in fault.message


def test_stored_object_is_warned_of_but_never_blocked() -> None:
    stored = written("v0.16.0", {"max_modle_len": 1})
    edited = written("v0.16.0", {"max_modle_len": 1, "seed": 1})
    found = verdict(edited, stored)
    assert found.faults == ()
    assert any("did you mean max-model-len?" in text for text in found.warnings)
    worse = verdict(written("v0.16.0", {"max_modle_len": 1, "sede": 2}), stored)
    assert [str(fault.path) for fault in worse.faults] == [f"{W0}.config.sede"]
    obj = stored_object("m", *stored["spec"]["backends"])
    _, children = validate_and_convert(obj, Context())
    assert children, "the controller goes on serving it"


def test_stored_object_keeps_its_place_when_backends_change_their_order() -> None:
    image = "vllm/vllm-openai:v0.16.0"
    bad = backend("bad", workers=[worker(image=image, config={"no-such.flag": 1, "x": 1})])
    good = backend("good", workers=[worker(image=image)])
    stored = booster_object("m", bad, good)
    assert verdict(booster_object("m", good, bad), stored).faults == ()


def test_new_image_that_drops_a_flag_is_warned_of() -> None:
    before = written("v0.16.0", {"swap-space": 4})
    assert verdict(before).faults == ()
    found = verdict(written("v0.33.0", {"swap-space": 4}), before)
    assert found.faults == ()
    assert any("gone since 0.18.0" in text for text in found.warnings)


def test_deprecated_flag_is_warned_of() -> None:
    found = verdict(written("v0.11.2", {"cuda-graph-sizes": [1, 2]}))
    assert found.faults == ()
    (text,) = (text for text in found.warnings if "deprecated" in text)
    assert text.endswith("gone since 0.13.0; use cudagraph-capture-sizes")


@pytest.mark.parametrize(
    ("tag", "config", "has"),
    [
        ("v0.8.5", {}, False),
        ("v0.9.0", {}, True),
        ("v0.33.0", {}, True),
        ("latest", {}, True),
        ("v0.16.0", {"kv-events-config": None}, False),
    ],
)
def test_cache_events_only_where_the_release_has_them(tag: str, config: Object, has: bool) -> None:
    (pod,) = pods(tag, config)
    assert (EVENTS in command(pod)) is has


@pytest.mark.parametrize(
    ("tag", "has"), [("v0.8.5", True), ("v0.10.2", True), ("v0.11.0", False), ("latest", False)]
)
def test_v1_engine_is_chosen_only_where_there_are_two(tag: str, has: bool) -> None:
    (pod,) = pods(tag)
    for container in pod["containers"]:
        assert any(entry["name"] == "VLLM_USE_V1" for entry in container["env"]) is has


def test_null_leaves_our_served_name() -> None:
    (pod,) = pods("v0.16.0", {"served-model-name": None})
    words = command(pod)
    assert words[words.index("--served-model-name") + 1] == "m"


def test_server_flags_of_vllm_serve_start_vllm_serve() -> None:
    (pod,) = pods("v0.16.0", {"api-server-count": 2})
    assert command(pod)[:2] == ["vllm", "serve"]
    assert "--model" not in command(pod)


NODES: dict[str, Any] = {"worker": {"pods": 2}}


@pytest.mark.parametrize(
    ("tag", "config"),
    [
        ("v0.11.2", {}),
        ("v0.19.0", {}),
        ("v0.33.0", {"distributed-executor-backend": "mp"}),
        ("latest", {"distributed-executor-backend": "mp"}),
        ("registry.example/own:1", {"distributed-executor-backend": "mp"}),
    ],
)
def test_several_nodes_without_ray(tag: str, config: Object) -> None:
    leader, follower = map(command, pods(tag, {"seed": 1, **config}, **NODES))
    both = ["--nnodes", "2", "--node-rank"]
    at = leader.index("--nnodes")
    assert leader[:2] == follower[:2] == ["vllm", "serve"]
    assert leader[at : at + 4] == [*both, "0"]
    at = follower.index("--nnodes")
    assert follower[at : at + 4] == [*both, "$(WORKER_INDEX)"]
    for words in (leader, follower):
        assert words[words.index("--master-addr") + 1] == "$(ENTRY_ADDRESS)"
        assert words.count("--distributed-executor-backend") == 1
        assert words[words.index("--distributed-executor-backend") + 1] == "mp"
        assert words[words.index("--seed") + 1] == "1"
        assert not any("ray" in word.lower() for word in words)
    assert "--headless" in follower
    assert "--headless" not in leader
    assert "--served-model-name" not in follower


def test_followers_load_adapters_too() -> None:
    _, follower = pods("v0.19.0", loraAdapters=[lora("sql")], **NODES)
    assert command(follower)[-1] == "--enable-lora"


@pytest.mark.parametrize(
    ("tag", "config", "scripts"),
    [
        ("v0.10.2", {}, 1),
        ("v0.16.0", {"distributed-executor-backend": "ray"}, 1),
        ("v0.21.0", {"distributed-executor-backend": "ray"}, 1),
        ("registry.example/own:1", {}, 2),
    ],
)
def test_several_nodes_with_ray(tag: str, config: Object, scripts: int) -> None:
    for pod in pods(tag, config, **NODES):
        shell, _, script = command(pod)
        assert shell == "bash"
        found = [p for p in ("examples/online_serving/", "examples/ray_serving/") if p in script]
        assert len(found) == scripts
        assert ("ray_serving" in script) is (tag == "v0.21.0" or scripts == 2)


def test_unknown_image_on_several_nodes_is_asked_for_the_choice() -> None:
    found = verdict(written("registry.example/own:1", **NODES))
    assert found.faults == ()
    (text,) = (text for text in found.warnings if "distributed-executor-backend" in text)
    assert "registry.example/own:1 tells no release" in text
    chosen = written("registry.example/own:1", {"distributed-executor-backend": "ray"}, **NODES)
    assert not [text for text in verdict(chosen).warnings if "with Ray" in text]


def test_ray_on_an_official_image_without_it_is_warned_of() -> None:
    config = {"distributed-executor-backend": "ray"}
    assert not [t for t in verdict(written("v0.17.1", config, **NODES)).warnings if "no Ray" in t]
    (text,) = (t for t in verdict(written("v0.18.0", config, **NODES)).warnings if "no Ray" in t)
    assert text.startswith(f"{W0}.config.distributed-executor-backend: ")


def test_faults_of_prefill_and_decode_are_told_once() -> None:
    image = "vllm/vllm-openai:v0.16.0"
    roles = [
        worker(kind, image=image, config={"kv-transfer-config": {"kv_connector": "NixlConnector"}})
        for kind in ("prefill", "decode")
    ]
    (text,) = said(verdict(booster_object("m", disaggregated(workers=roles))))
    assert "kv_role is missing for the prefill worker" in text


@pytest.mark.parametrize("profile", sorted(set(PROFILES.values())))
def test_every_profile_gets_the_same_command(profile: Profile) -> None:
    form = model("m", backend("a", workers=[worker(image="vllm/vllm-openai:v0.16.0")]))
    servings = [
        child.object
        for child in desired_children(form, profile, Options())
        if child.resource.kind == "ModelServing"
    ]
    (role,) = servings[0]["spec"]["template"]["roles"]
    assert command(role["entryTemplate"]["spec"])[:3] == [
        *("python3", "-m", "vllm.entrypoints.openai.api_server")
    ]


def test_combined_flags_are_named_first_by_every_table() -> None:
    for release in releases("vllm"):
        names = table("vllm", release).first_names
        assert COMBINED.isdisjoint(names), release
