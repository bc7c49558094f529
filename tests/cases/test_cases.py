"""Inputs that people reported as failing, each with what is right.

A test is named after that. The inputs are in this folder; real child definitions accept what is
made of them (tests/component/test_children_server.py).
"""

from __future__ import annotations

from app.convert.options import Options
from app.validation import Context, validate
from tests.cases.inputs import (
    CASES,
    answer,
    engines,
    faults,
    read,
    rendered,
    templates,
    value_of,
    warnings,
    with_backend,
    with_worker,
    words,
)

AT = "spec.backends[0]"
WORKER = f"{AT}.workers[0]"


def test_every_case_has_a_test() -> None:
    tested = {name.split("_")[1] for name in globals() if name.startswith("test_p")}
    assert {case.partition("-")[0] for case in CASES} - tested == set()


def test_p01_switches_follow_the_engines_table() -> None:
    assert warnings("p01") == ()
    (engine,) = engines("p01")
    command = words(engine)
    assert {"--enforce-eager", "--no-enable-prefix-caching", "--trust-remote-code"} <= set(command)
    assert {"true", "false", "True", "False"}.isdisjoint(command)
    assert value_of(command, "--max-model-len") == "8192"


def test_p02_no_pod_gets_the_links_of_services() -> None:
    for case in ("p02", "p03", "p07"):
        assert [template.get("enableServiceLinks") for template in templates(case)] == (
            [False] if case == "p02" else [False, False]
        )


def test_p03_prefill_and_decode_are_given_time_to_start_and_to_stop() -> None:
    for template in templates("p03"):
        assert template["terminationGracePeriodSeconds"] > 30
    for engine in engines("p03"):
        startup, liveness = engine["startupProbe"], engine["livenessProbe"]
        assert startup["failureThreshold"] * startup["periodSeconds"] >= 8 * 60
        assert liveness["timeoutSeconds"] >= 5
        assert engine["readinessProbe"].get("initialDelaySeconds", 0) <= 5
        assert "preStop" in engine["lifecycle"]


def test_p04_nixl_listens_on_the_address_of_the_pod() -> None:
    name = "VLLM_NIXL_SIDE_CHANNEL_HOST"
    for case in ("p03", "p04"):  # set by the user, and not
        for engine in engines(case):
            (entry,) = [entry for entry in engine["env"] if entry["name"] == name]
            assert entry["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    for host in ("localhost", "0.0.0.0"):  # noqa: S104 - other pods cannot reach it
        told = warnings(with_backend("p04", env=[{"name": name, "value": host}]))
        assert any(host in text for text in told)


def test_p06_cache_events_can_be_left_out_and_old_images_never_get_them() -> None:
    flag = "--kv-events-config"
    (engine,) = engines("p06")
    assert flag in words(engine)
    null = with_worker("p06", config={"tensor-parallel-size": 2, "kv-events-config": None})
    (engine,) = engines(null)
    assert [word for word in words(engine) if "kv-events" in word or word == "null"] == []
    (engine,) = engines(with_worker("p06", image="vllm/vllm-openai:v0.8.5"))
    assert flag not in words(engine)


def test_p07_several_nodes_start_without_ray_where_the_image_has_none() -> None:
    leader, follower = (words(engine) for engine in engines("p07"))
    for command in (leader, follower):
        assert "ray" not in " ".join(command)
        assert value_of(command, "--nnodes") == "2"
    assert value_of(leader, "--node-rank") == "0"
    assert "--headless" in follower
    unknown = with_worker("p07", image="registry.example/own:v7")
    assert [text for text in warnings(unknown) if "registry.example/own:v7" in text]


def test_p09_shared_devices_are_known_and_unknown_ones_are_not_none() -> None:
    assert any("but 1 per pod x 2 pods = 2" in text for text in warnings("p09"))
    unknown = with_worker("p09", resources={"limits": {"example.com/device": "1"}})
    assert not any(" devices, but " in text for text in warnings(unknown))
    for engine in engines(unknown):
        assert not any(word.startswith("--num-gpus") for word in words(engine))


def test_p13_keys_that_are_no_flags_are_refused_with_the_spelling() -> None:
    found = faults("p13")
    for key in ("max-model-len", "tensor-parallel-size", "port", "served-model-name"):
        assert f"write {key}" in found[f"{WORKER}.config.--{key}"]


def test_p14_the_model_in_config_is_refused() -> None:
    assert "modelURI" in faults("p14")[f"{WORKER}.config.model"]


def test_p15_two_revisions_never_share_a_folder() -> None:
    folders = [
        value_of(download["args"], "--output-dir")
        for template in templates("p15")
        for download in template["initContainers"]
    ]
    assert len(set(folders)) == 2


def test_p19_a_secret_reaches_the_engine_or_the_warning_says_how() -> None:
    (engine,) = engines("p19")
    reached = engine.get("envFrom") == [{"secretRef": {"name": "engine"}}]
    assert reached or any("envFrom" in text and "engine" in text for text in warnings("p19"))


def test_p10_tls_in_the_engine_is_warned_of_for_the_router() -> None:
    (text,) = warnings("p10")
    assert text.startswith(f"{WORKER}.config.ssl-certfile: the router")
    assert "plain HTTP" in text
    assert f"{WORKER}.config.ssl-keyfile" in faults(with_worker("p10", config={"ssl-keyfile": "k"}))


def test_p12_without_statistics_a_policy_is_refused_and_else_warned_of() -> None:
    assert "nothing to scale by" in faults("p12")[f"{WORKER}.config.disable-log-stats"]
    obj = with_backend("p12", maxReplicas=1)
    del obj["spec"]["backends"][0]["autoscalingPolicy"]
    (text,) = warnings(obj)
    assert text.startswith(f"{WORKER}.config.disable-log-stats: the engine reports no metrics")


def test_p16_the_downloader_reads_the_names_of_aws_and_kthenas_is_warned_of() -> None:
    assert warnings("p16") == ()
    kthenas = Options(downloader_image="ghcr.io/volcano-sh/downloader:v0.4.0")
    missing, renamed = validate(read("p16"), Context(options=kthenas)).warnings
    assert "a role of the node or service account is not used" in missing
    assert "set ACCESS_KEY and SECRET_KEY" in missing
    assert "AWS_ACCESS_KEY_ID as ACCESS_KEY" in renamed
    assert "AWS_SECRET_ACCESS_KEY as SECRET_KEY" in renamed
    assert "AWS_ENDPOINT_URL as ENDPOINT" in renamed


def test_p18_the_hubs_own_name_of_the_token_counts() -> None:
    assert warnings("p18") == ()
    other = [{"name": "HUGGING_FACE_HUB_TOKEN", "value": "x"}]
    assert warnings(with_backend("p18", env=other)) == ()
    assert "may ask for a token" in warnings(with_backend("p18", env=[]))[0]


def test_p20_data_parallel_ranks_count_as_devices() -> None:
    (text,) = warnings("p20")
    assert "x 4 (data parallel size) = 8 devices, but 4 per pod" in text
    eight = {"limits": {"nvidia.com/gpu": "8"}}
    assert warnings(with_worker("p20", resources=eight)) == ()


def test_p21_a_device_without_a_limit_is_refused() -> None:
    assert list(faults("p21")) == [f"{WORKER}.resources.limits"]


def test_p22_numbers_are_no_texts_and_gb_is_no_unit() -> None:
    assert list(faults("p22")) == [
        f"{AT}.env[0].value",
        f"{AT}.env[1].value",
        f"{WORKER}.resources.limits.memory",
    ]


def test_p23_unknown_pod_fields_are_told_with_what_to_use_instead() -> None:
    told = {text.split('"')[1]: text for text in warnings("p23")}
    for path, instead in {
        f"{AT}.imagePullSecrets": "service account default",
        f"{AT}.serviceAccountName": "service account default",
        f"{AT}.nodeSelector": "affinity.nodeAffinity",
        f"{WORKER}.nodeSelector": "affinity.nodeAffinity",
        f"{WORKER}.securityContext": "cannot be set",
        f"{WORKER}.args": "config",
    }.items():
        assert instead in told[path]


def test_p24_a_name_with_a_slash_is_served() -> None:
    assert warnings("p24") == ()
    (route,) = rendered("p24", "ModelRoute")
    assert route["spec"]["modelName"] == "Owner/Model-7B"


def test_p24b_a_name_with_a_dot_is_served() -> None:
    (route,) = rendered("p24b", "ModelRoute")
    assert route["spec"]["modelName"] == "model2.5-7b"


def test_p25_adapters_may_have_names_of_repositories() -> None:
    assert warnings("p25") == ()
    (route,) = rendered("p25", "ModelRoute")
    assert route["spec"]["loraAdapters"] == ["owner/tone", "sql_lora"]
    (engine,) = engines("p25")
    text = " ".join(words(engine))
    assert "owner/tone" in text
    assert "sql_lora" in text


def test_p26_a_list_of_served_names_is_taken() -> None:
    (engine,) = engines("p26")
    command = words(engine)
    at = command.index("--served-model-name")
    assert command[at + 1 : at + 3] == ["first", "second"]
    (server,) = rendered("p26", "ModelServer")
    assert server["spec"]["model"] == "first"


def test_p26b_a_blank_in_a_served_name_is_refused() -> None:
    assert list(faults("p26b")) == [f"{WORKER}.config.served-model-name"]


def test_p27_a_metric_that_no_engine_reports_is_warned_of() -> None:
    (text,) = warnings("p27")
    assert text.startswith(f"{AT}.autoscalingPolicy.metrics[0].metricName: ")
    assert "never acts; did you mean vllm:num_requests_waiting?" in text


def test_p28_all_faults_are_told_in_one_answer() -> None:
    assert list(faults("p28")) == [f"{AT}.modelURI", f"{WORKER}.type", AT]


def test_p30_a_revision_in_an_address_is_refused_with_where_it_goes() -> None:
    message = faults("p30")[f"{AT}.modelURI"]
    assert message.endswith("write hf://owner/model, and HF_REVISION: main in env")


def test_p31_a_quota_refuses_no_object_of_ours() -> None:
    """tests/component/test_reconcile_pods.py has the status of a ModelServing without pods."""
    assert warnings("p31") == ()
    (template,) = templates("p31")
    engine = next(c for c in template["containers"] if c["name"] != "runtime")
    assert engine["resources"]["limits"]["cpu"] == "4"


def test_p32_another_adapter_is_told_to_restart_all_replicas() -> None:
    before, after = read("p32-adapters-before"), read("p32-adapters-after")
    for obj in (before, after):
        obj["metadata"]["namespace"] = "default"
    (text,) = validate(after, Context(), old=before).warnings
    assert "because of loraAdapters" in text
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in text
    assert "4 replicas restart" in text


def test_p33_the_users_choice_of_the_older_core_stays() -> None:
    assert warnings("p33") == ()
    (engine,) = engines("p33")
    cores = [entry for entry in engine["env"] if entry["name"] == "VLLM_USE_V1"]
    assert cores == [{"name": "VLLM_USE_V1", "value": "0"}]
    command = words(engine)
    assert value_of(command, "--dtype") == "half"
    assert "--enforce-eager" in command


def test_p36_both_types_have_one_pull_policy_and_moving_tags_are_warned_of() -> None:
    said = warnings("p36")
    moving = [text for text in said if "moves" in text]
    (assumed,) = set(said) - set(moving)
    assert "tells no vLLM release" in assumed
    assert [text.partition(":")[0] for text in moving] == [
        f"{AT}.workers[0].image",
        f"{AT}.workers[1].image",
        "spec.backends[1].workers[0].image",
    ]
    policies = [engine.get("imagePullPolicy") for engine in engines("p36")]
    assert policies == [None, None, None]


def test_p37_pipeline_parallel_over_two_nodes_fits() -> None:
    assert warnings("p37") == ()
    leader, _follower = templates("p37")
    command = words(next(c for c in leader["containers"] if c["name"] != "runtime"))
    assert value_of(command, "--pipeline-parallel-size") == "2"
    assert answer("p37").model is not None
