"""What an engine would refuse, or silently take for something else."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from app.engines.engine import engine_of
from app.engines.fault import Fault, Wrong
from app.engines.names import _nearest, suggestion
from app.engines.words import _cached_entry, command_line

TEXT_CACHES = (_cached_entry, _nearest)
"""The caches whose keys are texts of users."""


def faults(release: str, config: dict[str, Any], engine: str = "vllm") -> list[Fault]:
    return command_line(engine_of(engine, "own:latest", release), config).faults


def words(release: str, config: dict[str, Any], engine: str = "vllm") -> list[str]:
    return command_line(engine_of(engine, "own:latest", release), config).words


def assumed(config: dict[str, Any]) -> list[Fault]:
    return command_line(engine_of("vllm", "own:latest"), config).faults


@pytest.mark.parametrize(
    ("config", "want"),
    [
        ({"enforce-eager": True}, ["--enforce-eager"]),
        ({"enforce_eager": "true"}, ["--enforce-eager"]),
        ({"trust-remote-code": ""}, ["--trust-remote-code"]),
        ({"enable-prefix-caching": False}, ["--no-enable-prefix-caching"]),
        ({"no-enable-prefix-caching": ""}, ["--no-enable-prefix-caching"]),
        ({"no-enable-prefix-caching": False}, ["--enable-prefix-caching"]),
        ({"headless": False}, []),
        ({"quantization": None}, []),
        ({"chat-template": ""}, ["--chat-template="]),
        ({"seed": -1}, ["--seed=-1"]),
        ({"served-model-name": ["a", "b"]}, ["--served-model-name", "a", "b"]),
        ({"middleware": ["a.b", "c.d"]}, ["--middleware", "a.b", "--middleware", "c.d"]),
        ({"allowed-origins": ["*"]}, ["--allowed-origins", '["*"]']),
        (
            {"kv_transfer_config": {"kv_role": "kv_both"}},
            ["--kv-transfer-config", '{"kv_role":"kv_both"}'],
        ),
        (
            {"kv_transfer_config.kv_role": "kv_both"},
            ["--kv-transfer-config.kv_role", "kv_both"],
        ),
        ({"lora-modules": "a=/p"}, ["--lora-modules", '{"name":"a","path":"/p"}']),
        ({"lora-modules": {"a": "/p=1"}}, ["--lora-modules", '{"name":"a","path":"/p=1"}']),
        ({"hf-overrides": {"rope_theta": 1}}, ["--hf-overrides", '{"rope_theta":1}']),
    ],
)
def test_words_have_the_form_that_vllm_reads(config: dict[str, Any], want: list[str]) -> None:
    assert words("0.16.0", config) == want
    assert faults("0.16.0", config) == []


def test_a_false_switch_of_vllm_033_is_turned_off() -> None:
    config = {"disable-prefix-caching": True, "enable-lora": False}

    assert words("0.33.0", config) == ["--no-enable-prefix-caching", "--no-enable-lora"]


def test_adapters_of_sglang_are_pairs() -> None:
    config = {"lora-paths": [{"name": "a", "path": "/p"}, "b=/q"]}

    assert words("0.5.23", config, "sglang") == ["--lora-paths", "a=/p", "b=/q"]
    assert words("0.4.9.post6", config, "sglang") == ["--lora-paths", "a=/p", "b=/q"]


@pytest.mark.parametrize("value", [{"use_inductor": True}, '{"use_inductor": true}'])
def test_vllm_085_gets_a_literal_of_python(value: Any) -> None:
    # It reads this flag with ast.literal_eval, which knows no "true".
    want = ["--compilation-config", "{'use_inductor': True}"]

    assert words("0.8.5", {"compilation-config": value}) == want
    assert faults("0.8.5", {"compilation-config": value}) == []


@pytest.mark.parametrize(
    ("release", "config", "wrong", "detail"),
    [
        ("0.16.0", {"nonsense": 1}, Wrong.UNKNOWN, "vLLM 0.16.0 has no such flag"),
        ("0.8.5", {"kv-events-config": {}}, Wrong.UNKNOWN, "0.9.2 has it"),
        ("0.16.0", {"task": "embed"}, Wrong.GONE, "gone since 0.13.0, use runner and convert"),
        ("0.33.0", {"swap-space": 4}, Wrong.GONE, "gone since 0.18.0"),
        ("0.16.0", {"max-model": 1}, Wrong.ABBREVIATION, "abbreviation of max-model-len"),
        ("0.16.0", {"Max-Model-Len": 1}, Wrong.SPELLING, "write max-model-len"),
        ("0.16.0", {"--max-model-len": 1}, Wrong.SPELLING, "write max-model-len"),
        ("0.16.0", {"max model len": 1}, Wrong.SPELLING, "write max-model-len"),
        ("0.16.0", {"max-model-len=4096": ""}, Wrong.SPELLING, "write max-model-len: VALUE"),
        ("0.16.0", {"model": "x"}, Wrong.OWNED, "modelURI names the model"),
        ("0.16.0", {"max-num-seqs": "many"}, Wrong.TYPE, "must be a whole number"),
        ("0.16.0", {"max-num-seqs": True}, Wrong.TYPE, "must be a whole number"),
        ("0.16.0", {"max-model-len": "32Ki"}, Wrong.TYPE, "suffix"),
        ("0.16.0", {"max-model-len": "0.5M"}, Wrong.TYPE, "suffix"),
        ("0.16.0", {"gpu-memory-utilization": "90%"}, Wrong.TYPE, "must be a number"),
        ("0.16.0", {"kv-transfer-config": "NixlConnector"}, Wrong.TYPE, "must be an object"),
        ("0.16.0", {"limit-mm-per-prompt": "image=2"}, Wrong.TYPE, "must be JSON"),
        ("0.16.0", {"dtype": "fp16"}, Wrong.CHOICE, "must be one of: auto, bfloat16"),
        ("0.16.0", {"uvicorn-log-level": "INFO"}, Wrong.CHOICE, 'did you mean "info"?'),
        ("0.16.0", {"max-lora-rank": 48}, Wrong.CHOICE, "must be one of"),
        ("0.16.0", {"collect-detailed-traces": "None"}, Wrong.CHOICE, "must be one of"),
        ("0.16.0", {"max-model-len": [1]}, Wrong.FORM, "takes one value, no list"),
        ("0.16.0", {"enforce-eager": "maybe"}, Wrong.FORM, "is a switch: write true or false"),
        ("0.16.0", {"served-model-name": "a b"}, Wrong.FORM, "must not hold a blank"),
        ("0.16.0", {"lora-modules": "a=/p b=/q"}, Wrong.FORM, "must list adapters"),
        ("0.16.0", {"api-key": ["-a", "b"]}, Wrong.FORM, "would take it for a flag"),
        ("0.16.0", {"seed.a": 1}, Wrong.FORM, "has no parts"),
        ("0.8.5", {"kv-transfer-config.kv_role": "kv_both"}, Wrong.FORM, "reads no parts"),
        ("0.16.0", {"disable-log-requests": True}, Wrong.DEPRECATED, "is deprecated"),
        ("0.16.0", {"max_model_len": 1, "max-model-len": 1}, Wrong.TWICE, "the same as"),
        ("0.16.0", {"enable-lora": True, "no-enable-lora": True}, Wrong.TWICE, "the same as"),
        (
            "0.16.0",
            {"kv-transfer-config": {}, "kv-transfer-config.kv_role": "kv_both"},
            Wrong.TWICE,
            "the same as",
        ),
    ],
)
def test_what_the_engine_refuses_is_found(
    release: str, config: dict[str, Any], wrong: Wrong, detail: str
) -> None:
    (fault,) = faults(release, config)

    assert (fault.wrong, fault.certain) == (wrong, True)
    assert detail in fault.detail
    assert fault.key in config


@pytest.mark.parametrize(
    ("engine", "release", "config"),
    [
        ("vllm", "0.9.2", {"limit-mm-per-prompt": "image=2"}),
        ("vllm", "0.10.2", {"max-lora-rank": 48}),
        ("vllm", "0.33.0", {"collect-detailed-traces": "None"}),
        ("vllm", "0.16.0", {"max-model-len": "auto"}),
        ("vllm", "0.8.5", {"max-model-len": -1}),
        ("vllm", "0.8.5", {"compilation-config": 3}),
        ("vllm", "0.16.0", {"max-model-len": "32k"}),
        ("vllm", "0.16.0", {"kv-transfer-config.a": 1, "kv-transfer-config.b": 2}),
        ("vllm", "0.8.5", {"kv-events-config": None}),
        ("sglang", "0.5.23", {"context-length": "32Ki"}),
    ],
)
def test_what_the_engine_takes_is_no_fault(
    engine: str, release: str, config: dict[str, Any]
) -> None:
    assert faults(release, config, engine) == []


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("max-num-seqz", "; did you mean max-num-seqs?"),
        ("max_num_seqz.part", "; did you mean max-num-seqs?"),
        ("tp", "; did you mean tensor-parallel-size?"),
        ("nonsense", ""),
        ("kv-events-config", ""),  # the fault names the release that has it
    ],
)
def test_a_misspelled_flag_has_a_suggestion(key: str, meant: str) -> None:
    (fault,) = faults("0.8.5", {key: 1})

    assert suggestion(engine_of("vllm", "own:latest", "0.8.5").table, fault) == meant


def test_the_model_of_sglang_is_ours_by_any_name() -> None:
    (fault,) = faults("0.5.23", {"model": "x"}, "sglang")

    assert (fault.wrong, fault.flag) == (Wrong.OWNED, "model-path")


def test_a_typing_error_is_told_even_if_nothing_is_written() -> None:
    (fault,) = faults("0.16.0", {"kv-event-config": None})

    assert (fault.wrong, fault.certain) == (Wrong.UNKNOWN, False)
    table = engine_of("vllm", "own:latest", "0.16.0").table
    assert "kv-events-config" in suggestion(table, fault)


def test_nothing_is_certain_about_an_unknown_release() -> None:
    config = {"task": "embed", "nonsense": 1, "max-num-seqs": "x", "por": 9000}

    assert [fault.certain for fault in assumed(config)] == [False] * 4


def test_an_unknown_release_gets_the_form_of_the_one_that_had_the_flag() -> None:
    engine = engine_of("vllm", "own:latest")

    assert command_line(engine, {"enable-reasoning": False}).words == ["--no-enable-reasoning"]


def test_between_two_tables_only_what_both_refuse_is_certain() -> None:
    # 0.14.0 lies between 0.13.0 and 0.16.0; only the second has attention-config.
    found = faults("0.14.0", {"weight-transfer-config": {}, "max-num-seqs": "x", "nonsense": 1})

    assert {(fault.key, fault.certain) for fault in found} == {
        ("weight-transfer-config", False),
        ("max-num-seqs", True),
        ("nonsense", True),
    }


def test_a_flag_that_is_known_to_be_gone_is_refused_between_two_tables() -> None:
    (fault,) = faults("0.17.0", {"disable-log-requests": True})

    assert (fault.wrong, fault.certain) == (Wrong.GONE, True)
    assert "enable-log-requests" in fault.detail


def test_faults_take_no_argument_away() -> None:
    # An object that is stored already keeps its pods.
    config = {"nonsense": 1, "Capital": "x", "max-num-seqs": "many", "model": "m"}

    assert words("0.16.0", config) == [
        *("--Capital", "x"),
        *("--max-num-seqs", "many"),
        *("--model", "m"),
        *("--nonsense", "1"),
    ]


def test_keys_are_known_by_the_first_name_of_their_flag() -> None:
    engine = engine_of("sglang", "lmsysorg/sglang:v0.5.23")

    line = command_line(engine, {"tensor_parallel_size": 2, "api-key": None})

    assert line.keys == {"tp-size": "tensor_parallel_size", "api-key": "api-key"}


def test_long_keys_are_not_kept() -> None:
    key = "x" * 1000
    before = [cache.cache_info().currsize for cache in TEXT_CACHES]

    (fault,) = assumed({key: 1})

    assert suggestion(engine_of("vllm", "own:latest").table, fault) == ""
    assert [cache.cache_info().currsize for cache in TEXT_CACHES] == before


def test_an_image_reference_that_no_runtime_accepts_is_not_copied() -> None:
    image = "x" * 1_000_000 + "/vllm-openai:v0.9.0"
    tracemalloc.start()
    try:
        engine = engine_of("vllm", image)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert engine.release is None
    assert peak_bytes < len(image)
