"""Rules about images, arguments, ports, caches and sources: both sides of every limit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.convert.options import Options
from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, lora, worker

AT = "spec.backends[0]"


def _faults(obj: Object, options: Options | None = None) -> list[tuple[str, str]]:
    context = Context(options or Options())
    return [(str(fault.path), fault.message) for fault in validate(obj, context).faults]


def _check(obj: Object, path: str, words: str | None, options: Options | None = None) -> None:
    """Asserts one fault with this path and these words; no fault if ``words`` is None."""
    found = _faults(obj, options)
    if words is None:
        assert found == []
    else:
        ((where, message),) = found
        assert where == path
        assert words in message


def _served(**config: Any) -> Object:
    return booster_object("m", backend(workers=[worker(config=config)]))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param("vllm/vllm-openai:v0.9.2", None, id="tag"),
        pytest.param("r.example.com:5000/a/b@sha256:" + "0" * 64, None, id="digest"),
        pytest.param("", "the image of the engine", id="empty"),
        pytest.param(" ", "cannot be empty or whitespace only", id="blank"),
        pytest.param("\t\n", "cannot be empty or whitespace only", id="tab and line break"),
        pytest.param("a b", "cannot contain whitespace", id="blank inside"),
        pytest.param("a:1\n", "cannot contain whitespace", id="line break at the end"),
        pytest.param("a\u00a0b", "cannot contain whitespace", id="hard blank"),
        pytest.param("a\u2003b", "cannot contain whitespace", id="em blank"),
        pytest.param("a" * 1024, None, id="as long as can be"),
        pytest.param("a" * 1025, "may not be more than 1024 bytes", id="too long"),
    ],
)
def test_image(image: str, words: str | None) -> None:
    for obj, path in (
        (booster_object("m", backend(workers=[worker(image=image)])), f"{AT}.workers[0].image"),
        (
            booster_object(
                "m", disaggregated(workers=[worker("prefill"), worker("decode", image=image)])
            ),
            f"{AT}.workers[1].image",
        ),
    ):
        _check(obj, path, words)


def _nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(_nested(31), None, id="deep"),
        pytest.param(_nested(32), "nested more than 32 levels", id="too deep"),
        pytest.param(_nested(900), "nested more than 32 levels", id="far too deep"),
        pytest.param("x" * 65_000, None, id="large"),
        pytest.param("x" * 65_520, None, id="as large as can be"),
        pytest.param("x" * 65_521, "larger than 64 KiB", id="too large by a byte"),
        pytest.param("\u00e9" * 40_000, "larger than 64 KiB", id="too large in bytes"),
        pytest.param([[]] * 40_000, "larger than 64 KiB", id="many lists"),
        pytest.param({str(key): 1 for key in range(20_000)}, "larger than 64 KiB", id="many keys"),
        pytest.param(2**63 - 1, None, id="largest number"),
        pytest.param(2**63, "beyond 64 bits", id="too large a number"),
        pytest.param(-(2**63), None, id="smallest number"),
        pytest.param(-(2**63) - 1, "beyond 64 bits", id="too small a number"),
        pytest.param(10**5000, "beyond 64 bits", id="5000 digits"),
        pytest.param(float("inf"), "not finite", id="infinity"),
        pytest.param(float("nan"), "not finite", id="no number"),
        pytest.param(-0.0, None, id="minus zero"),
        pytest.param("a\0b", "NUL", id="NUL"),
        pytest.param(["a\0"], "NUL", id="NUL below"),
        pytest.param({"a\0": 1}, "NUL", id="NUL in a key"),
        pytest.param("\ud800", "surrogate", id="half a character"),
        pytest.param("\U0001f600", None, id="a whole one"),
    ],
)
def test_config_must_be_arguments(value: Any, words: str | None) -> None:
    flag = "chat-template" if isinstance(value, str) else "allowed-origins"
    _check(_served(**{flag: value}), f"{AT}.workers[0].config", words)


def test_argument_in_both_spellings_is_a_duplicate() -> None:
    obj = _served(**{"max-model-len": 1, "max_model_len": 2})
    ((path, message),) = _faults(obj)
    assert path == f"{AT}.workers[0].config.max_model_len"
    assert "max-model-len" in message


@pytest.mark.parametrize(
    ("port", "words"),
    [
        pytest.param(1, None, id="lowest"),
        pytest.param(65535, None, id="highest"),
        pytest.param("8001", None, id="as a string"),
        pytest.param(0, 'invalid port "0" for worker server', id="zero"),
        pytest.param(65536, 'invalid port "65536" for worker server', id="too high"),
        pytest.param(70000, 'invalid port "70000" for worker server', id="far too high"),
        pytest.param("", 'invalid port "" for worker server', id="empty"),
        pytest.param(8000.5, 'invalid port "8000.5" for worker server', id="a fraction"),
        pytest.param("1e3", 'invalid port "1e3" for worker server', id="an exponent"),
        pytest.param(True, 'invalid port "true" for worker server', id="a truth"),
        pytest.param([8000], "for worker server", id="a list"),
        pytest.param("\u0668", "for worker server", id="another script's digit"),
    ],
)
def test_engine_port(port: Any, words: str | None) -> None:
    _check(_served(port=port), f"{AT}.workers[0].config.port", words)


def _pd(prefill: Object, decode: Object, **fields: Any) -> Object:
    workers = [worker("prefill", config=prefill), worker("decode", config=decode)]
    return booster_object("m", disaggregated(workers=workers, **fields))


@pytest.mark.parametrize(
    ("prefill", "decode", "words"),
    [
        pytest.param({"port": 8001}, {"port": "8001"}, None, id="agree"),
        pytest.param({"port": 8000}, {}, None, id="the default"),
        pytest.param(
            {"port": 8000}, {"port": 8001}, "different engine ports: 8000 and 8001", id="disagree"
        ),
        pytest.param({"port": 8001}, {}, "different engine ports: 8001 and 8000", id="one only"),
    ],
)
def test_engine_ports_agree(prefill: Object, decode: Object, words: str | None) -> None:
    _check(_pd(prefill, decode), f"{AT}.workers[1].config.port", words)


@pytest.mark.parametrize(
    ("prefill", "decode", "words"),
    [
        pytest.param({"served-model-name": "a"}, {"served_model_name": "a"}, None, id="agree"),
        pytest.param({"served-model-name": "a"}, {}, None, id="one speaks for both"),
        pytest.param(
            {"served-model-name": "a"}, {"served_model_name": "b"}, '"a" and "b"', id="disagree"
        ),
    ],
)
def test_served_names_agree(prefill: Object, decode: Object, words: str | None) -> None:
    _check(_pd(prefill, decode), f"{AT}.workers[1].config.served_model_name", words)


def _transfer(name: str | None, role: str | None, key: str = "kv-transfer-config") -> Object:
    given = {"kv_connector": name, "kv_role": role}
    return {key: json.dumps({k: v for k, v in given.items() if v is not None})}


NIXL = _transfer("NixlConnector", "kv_both")


@pytest.mark.parametrize(
    ("prefill", "decode", "words"),
    [
        pytest.param({}, {}, None, id="none"),
        pytest.param(NIXL, NIXL, None, id="both"),
        pytest.param(
            _transfer("MooncakeConnector", "kv_producer"),
            _transfer("MooncakeConnectorV1", "kv_consumer", "kv_transfer_config"),
            None,
            id="two names of one",
        ),
        pytest.param(NIXL, {}, "decode worker has no kv-transfer-config", id="prefill only"),
        pytest.param({}, NIXL, "prefill worker has no kv-transfer-config", id="decode only"),
        pytest.param(
            NIXL, _transfer("LMCacheConnectorV1", "kv_both"), "different connectors", id="two kinds"
        ),
        pytest.param(NIXL, _transfer(None, "kv_both"), "kv_connector is missing", id="no name"),
        pytest.param(NIXL, _transfer("NixlConnector", None), "kv_role is missing", id="no role"),
        pytest.param(
            NIXL, _transfer("NixlConnector", "kv_producer"), "kv_consumer or kv_both", id="its role"
        ),
        pytest.param(
            _transfer("NixlConnector", "kv_consumer"), NIXL, "kv_producer or kv_both", id="other's"
        ),
        pytest.param(
            {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}},
            NIXL,
            None,
            id="an object",
        ),
        pytest.param(
            {
                "kv-transfer-config.kv_connector": "NixlConnector",
                "kv_transfer_config.kv_role": "kv_producer",
            },
            NIXL,
            None,
            id="a key for each part",
        ),
        pytest.param(
            {"kv-transfer-config": ["NixlConnector"]},
            NIXL,
            "must be an object, or a string that holds JSON",
            id="a list",
        ),
        pytest.param(
            {"kv-transfer-config": "{"},
            NIXL,
            "must be an object, or a string that holds JSON",
            id="no JSON",
        ),
        pytest.param(
            {"kv-transfer-config": "[" * 50_000},
            NIXL,
            "must be an object, or a string that holds JSON",
            id="deep JSON",
        ),
    ],
)
def test_transfers_fit(prefill: Object, decode: Object, words: str | None) -> None:
    _check(_pd(prefill, decode), f"{AT}.workers", words)


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("hostpath:///var/cache/models", None, id="absolute"),
        pytest.param("hostpath://var/cache/models", None, id="as kthena's examples write it"),
        pytest.param("hostpath://cache/", None, id="kthena's example for a cache"),
        pytest.param("hostpath://mnt/cache/", None, id="kthena's example for a disk"),
        pytest.param("hostpath:///tmp/cache", None, id="kthena's example for a try"),
        pytest.param("hostpath:///var/lib/models", None, id="the node's models"),
        pytest.param("hostpath:///var/lib", "MODELBOOSTER_HOST_PATH_PREFIXES", id="above it"),
        pytest.param("hostpath:///var/lib/models2", "kthena.hostPathPrefixes", id="a longer name"),
        pytest.param("hostpath:///var/lib/kubelet", "kthena.hostPathPrefixes", id="the kubelet's"),
        pytest.param("hostpath:///etc/kubernetes", "kthena.hostPathPrefixes", id="keys"),
        pytest.param("hostpath:///root/.cache", "kthena.hostPathPrefixes", id="root's home"),
        pytest.param("hostpath:///", "folder below /", id="the root"),
        pytest.param("hostpath:////", "folder below /", id="the root, longer"),
        pytest.param("hostpath:///a/../b", "'..'", id="upwards"),
        pytest.param("hostpath:///data/a..b", None, id="dots in a name"),
        pytest.param("pvc://models", None, id="claim"),
        pytest.param("pvc:///models/", None, id="claim between slashes"),
        pytest.param("pvc://models/sub", "exactly one claim", id="below a claim"),
        pytest.param("pvc:////", "exactly one claim", id="no claim"),
    ],
)
def test_cache(cache: str | None, words: str | None) -> None:
    _check(booster_object("m", backend(cacheURI=cache)), f"{AT}.cacheURI", words)


@pytest.mark.parametrize(
    ("cache", "words"),
    [
        pytest.param("hostpath:///data/models", None, id="below"),
        pytest.param("hostpath:///data", None, id="the folder itself"),
        pytest.param("hostpath:///database", "not below /data", id="a longer name"),
        pytest.param("hostpath:///etc", "not below /data", id="elsewhere"),
        pytest.param("pvc://etc", None, id="a claim"),
    ],
)
def test_host_paths_of_a_setting(cache: str, words: str | None) -> None:
    options = Options(host_path_prefixes=("/data/",))
    _check(booster_object("m", backend(cacheURI=cache)), f"{AT}.cacheURI", words, options)


def test_root_prefix_allows_every_directory() -> None:
    every = Options(host_path_prefixes=("/",))
    _check(booster_object("m", backend(cacheURI="hostpath:///etc")), AT, None, every)


@pytest.mark.parametrize(
    ("model", "cache", "path", "words"),
    [
        pytest.param("pvc://models/llama", "pvc://models", "", None, id="in the cache"),
        pytest.param("pvc:///models//a/./b", "pvc://models", "", None, id="written oddly"),
        pytest.param("pvc://models", "pvc://models", "", None, id="the claim itself"),
        pytest.param("pvc://models/a", None, "cacheURI", "must also be pvc://", id="no cache"),
        pytest.param(
            "pvc://models/a", "hostpath:///models", "cacheURI", "must also be pvc://", id="a folder"
        ),
        pytest.param(
            "pvc://models/../etc", "pvc://models", "modelURI", "'..' path segments", id="upwards"
        ),
        pytest.param(
            "pvc://models2/a", "pvc://models", "modelURI", "does not lie in /models", id="elsewhere"
        ),
    ],
)
def test_models_on_claims(model: str, cache: str | None, path: str, words: str | None) -> None:
    _check(booster_object("m", backend(modelURI=model, cacheURI=cache)), f"{AT}.{path}", words)


def test_adapters_on_claims() -> None:
    adapters = [lora("a"), lora("b", artifactURL="pvc://adapters/b")]
    obj = booster_object("m", backend(cacheURI="pvc://models", loraAdapters=adapters))
    _check(obj, f"{AT}.loraAdapters[1].artifactURL", "does not lie in /models")


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        pytest.param("8200", "", None, id="a port"),
        pytest.param("", "", None, id="empty"),
        pytest.param("x", "", None, id="no number"),
        pytest.param("0", "env[0].value", "between 1 and 65535", id="zero"),
        pytest.param("65536", "env[0].value", "between 1 and 65535", id="too high"),
        pytest.param("8000", "env[0].value", "both listen on port 8000", id="the engine's"),
    ],
)
def test_port_of_the_sidecar(value: str, path: str, words: str | None) -> None:
    env = [{"name": "RUNTIME_PORT", "value": value}]
    _check(booster_object("m", backend(env=env)), f"{AT}.{path}", words)


def test_conversion_fault_rejects_the_object() -> None:
    requests = {"limits": {"cpu": "1e999999"}}
    obj = booster_object("m", backend(workers=[worker(resources=requests)]))
    ((path, _),) = _faults(obj)
    assert path.startswith(f"{AT}.workers[0].resources")
