"""Addresses of models and adapters, and the credentials of their downloads."""

from __future__ import annotations

import pytest

from app.convert.options import Options
from app.validation import Context, validate, validate_and_convert
from app.values.meta import Object
from tests.builders import backend, booster_object, worker


def _faults(**fields: object) -> list[tuple[str, str]]:
    found = validate(booster_object("m", backend(**fields)), Context()).faults
    return [(str(fault.path), fault.message) for fault in found]


OURS = Options()
KTHENAS = Options(downloader_image="ghcr.io/volcano-sh/downloader:v0.4.0")
"""With kthena's downloader."""


def _warnings(options: Options = OURS, **fields: object) -> list[str]:
    verdict = validate(booster_object("m", backend(**fields)), Context(options=options))
    assert verdict.faults == ()
    return list(verdict.warnings)


@pytest.mark.parametrize(
    "uri",
    [
        "hf://Qwen/Qwen3-4B",
        "hf://Qwen/Qwen2.5-7B-Instruct_x",
        "ms://Qwen/Qwen3-4B",
        "s3://bucket",
        "s3://bucket/a/b/",
        "obs://bucket/a",
        "s3://bucket_1/model@v1",
    ],
)
def test_addresses_that_have_their_form(uri: str) -> None:
    assert _faults(modelURI=uri) == []


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("hf://Qwen/Qwen3-4B@main", "write hf://Qwen/Qwen3-4B, and HF_REVISION: main in env"),
        ("hf://Qwen/Qwen3-4B:v1", "write hf://Qwen/Qwen3-4B, and HF_REVISION: v1 in env"),
        ("hf://Qwen/Qwen3-4B/tree/v1.0", "write hf://Qwen/Qwen3-4B, and HF_REVISION: v1.0 in env"),
        ("hf://Qwen/Qwen3-4B?revision=a", "write hf://Qwen/Qwen3-4B, and HF_REVISION: a in env"),
        ("ms://Qwen/Qwen3-4B@v1", "write ms://Qwen/Qwen3-4B, and MS_REVISION: v1 in env"),
        ("hf://https://huggingface.co/Qwen/Qwen3-4B", "write hf://Qwen/Qwen3-4B"),
        ("hf://huggingface.co/Qwen/Qwen3-4B", "write hf://Qwen/Qwen3-4B"),
        ("ms://modelscope.cn/models/Qwen/Qwen3-4B", "write ms://Qwen/Qwen3-4B"),
        ("hf://Qwen/Qwen3-4B/", "write hf://Qwen/Qwen3-4B"),
        ("hf:// Qwen/Qwen3-4B", "must not contain blanks; write hf://Qwen/Qwen3-4B"),
        ("hf://Qwen/Qwen3-4B ", "must not contain blanks; write hf://Qwen/Qwen3-4B"),
        ("hf://Qwen/Qwen3 4B", "must not contain blanks; write hf://owner/name"),
        ("hf://Qwen", "must name one repository of Hugging Face; write hf://owner/name"),
        ("hf://Qwen/", "must name one repository of Hugging Face; write hf://owner/name"),
        ("hf:///Qwen3-4B", "must name one repository of Hugging Face; write hf://owner/name"),
        ("hf://a/b/c", "must name one repository of Hugging Face; write hf://owner/name"),
        ("hf://../x", "must name one repository of Hugging Face; write hf://owner/name"),
        ("ms://Qwen", "must name one repository of ModelScope; write ms://owner/name"),
        ("s3:///models/a", "names no bucket; write s3://bucket/path"),
        ("obs:///a", "names no bucket; write obs://bucket/path"),
        ("s3://bucket/my model", "must not contain blanks; write s3://bucket/path"),
    ],
)
def test_addresses_of_another_form_are_refused(uri: str, words: str) -> None:
    ((path, message),) = _faults(modelURI=uri)
    assert path == "spec.backends[0].modelURI"
    assert message.endswith(words)
    adapters = [{"name": "sql", "artifactURL": uri}]
    ((path, message),) = _faults(loraAdapters=adapters)
    assert path == "spec.backends[0].loraAdapters[0].artifactURL"
    assert message.endswith(words)


def test_a_claim_may_have_folders_with_blanks_inside() -> None:
    claim = {"cacheURI": "pvc://models", "modelURI": "pvc://models/my model"}
    assert _faults(**claim) == []
    ((_, message),) = _faults(**claim | {"modelURI": "pvc://models/a "})
    assert message.endswith("must not begin or end with a blank")


def test_a_stored_address_is_warned_of_and_goes_on_being_served() -> None:
    stored = booster_object("m", backend(modelURI="hf://gpt2"))
    edited = booster_object("m", backend(modelURI="hf://gpt2", routeWeight=50))
    verdict = validate(edited, Context(), old=stored)
    assert verdict.faults == ()
    assert [text for text in verdict.warnings if "must name one repository" in text]
    _, children = validate_and_convert(stored, Context())
    assert children


@pytest.mark.parametrize("name", ["HF_AUTH_TOKEN", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
def test_every_name_of_the_token_counts(name: str) -> None:
    gated: Object = {"modelURI": "hf://meta-llama/Llama-3.1-8B-Instruct"}
    assert [text for text in _warnings(**gated) if "may ask for a token" in text]
    assert _warnings(**gated, env=[{"name": name, "value": "x"}]) == []


def test_gated_adapters_need_a_token_too() -> None:
    adapters = [{"name": "sql", "artifactURL": "hf://meta-llama/adapter"}]
    (text,) = _warnings(loraAdapters=adapters)
    assert text == (
        "spec.backends[0].env: meta-llama/adapter may ask for a token; "
        "set HF_AUTH_TOKEN if the download fails"
    )


def _env(*names: str) -> list[Object]:
    return [{"name": name, "value": "x"} for name in names]


@pytest.mark.parametrize("scheme", ["s3", "obs"])
def test_kthenas_downloader_needs_keys_of_object_storage(scheme: str) -> None:
    uri = f"{scheme}://bucket/model"
    (text,) = _warnings(KTHENAS, modelURI=uri)
    assert f"{scheme}:// needs keys" in text
    assert "a role of the node or service account is not used" in text
    assert text.endswith("set ACCESS_KEY and SECRET_KEY in env, or in a Secret of envFrom")
    (text,) = _warnings(KTHENAS, modelURI=uri, env=_env("ACCESS_KEY"))
    assert text.endswith("set SECRET_KEY in env, or in a Secret of envFrom")
    assert _warnings(KTHENAS, modelURI=uri, env=_env("ACCESS_KEY", "SECRET_KEY")) == []
    assert _warnings(KTHENAS, modelURI=uri, envFrom=[{"secretRef": {"name": "s3"}}]) == []
    adapters = [{"name": "sql", "artifactURL": uri}]
    assert _warnings(KTHENAS, loraAdapters=adapters) == _warnings(KTHENAS, modelURI=uri)


def test_kthenas_downloader_knows_no_names_of_other_clients() -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")
    uri = "s3://bucket/model"
    keys, renamed = _warnings(KTHENAS, modelURI=uri, env=_env(*names))
    assert "needs keys" in keys
    assert renamed.endswith(
        "write AWS_ACCESS_KEY_ID as ACCESS_KEY, AWS_SECRET_ACCESS_KEY as SECRET_KEY, "
        "AWS_ENDPOINT_URL as ENDPOINT"
    )
    both = _env("ACCESS_KEY", "SECRET_KEY", "ENDPOINT", *names)
    assert _warnings(KTHENAS, modelURI=uri, env=both) == []
    given = _env("ACCESS_KEY", "SECRET_KEY", "AWS_ENDPOINT_URL_S3")
    (text,) = _warnings(KTHENAS, modelURI=uri, env=given)
    assert text.endswith("write AWS_ENDPOINT_URL_S3 as ENDPOINT")


def test_our_downloader_uses_roles_and_the_names_of_aws() -> None:
    uri = "s3://bucket/model"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")
    for env in ([], _env(*names), _env("AWS_ENDPOINT_URL_S3"), _env("ACCESS_KEY", "SECRET_KEY")):
        assert _warnings(modelURI=uri, env=env) == []
    (text,) = _warnings(modelURI=uri, env=_env("ACCESS_KEY"))
    assert text.endswith("env: s3:// needs both keys or none; set SECRET_KEY in env, or in a "
                         "Secret of envFrom")  # fmt: skip
    (text,) = _warnings(modelURI=uri, env=_env("S3_ENDPOINT"))
    assert text.endswith("the downloader knows other names; write S3_ENDPOINT as ENDPOINT")


def test_our_downloader_has_no_default_server_for_obs() -> None:
    uri = "obs://bucket/model"
    (text,) = _warnings(modelURI=uri)
    assert "obs:// needs the address of its server; set ENDPOINT" in text
    assert _warnings(modelURI=uri, env=_env("ENDPOINT")) == []
    (text,) = _warnings(modelURI=uri, env=_env("ENDPOINT", "AWS_ACCESS_KEY_ID"))
    assert text.endswith("write AWS_ACCESS_KEY_ID as ACCESS_KEY")


def test_our_downloader_knows_more_names_of_the_hubs_token() -> None:
    gated, env = "hf://meta-llama/Llama-3.1-8B-Instruct", _env("HUGGINGFACE_TOKEN")
    assert _warnings(modelURI=gated, env=env) == []
    assert len(_warnings(KTHENAS, modelURI=gated, env=env)) == 1


_VLLM, _OLD, _SGLANG = (
    "vllm/vllm-openai:v0.16.0",
    "vllm/vllm-openai:v0.9.2",
    "lmsysorg/sglang:v0.5.23",
)


@pytest.mark.parametrize(
    ("image", "config", "where"),
    [
        (_VLLM, {"runner": "pooling"}, "runner"),
        (_VLLM, {"convert": "embed"}, "convert"),
        (_VLLM, {"convert": "classify"}, "convert"),
        (_VLLM, {"pooler-config": {"pooling_type": "MEAN"}}, "pooler-config"),
        (_OLD, {"task": "embed"}, "task"),
        (_OLD, {"task": "embedding"}, "task"),
        (_OLD, {"task": "score"}, "task"),
        (_OLD, {"task": "transcription"}, "task"),
        (_OLD, {"override_pooler_config": {"pooling_type": "MEAN"}}, "override_pooler_config"),
        (_SGLANG, {"is-embedding": True}, "is-embedding"),
        (_SGLANG, {"is-embedding": False}, None),
        (_SGLANG, {}, None),
        (_VLLM, {"runner": "generate"}, None),
        (_VLLM, {"runner": "auto", "convert": "none"}, None),
        (_VLLM, {"runner": "generate", "pooler-config": {"pooling_type": "MEAN"}}, None),
        (_VLLM, {"pooler-config": None}, None),
        (_OLD, {"task": "generate"}, None),
        (_OLD, {"task": "auto"}, None),
        (_VLLM, {"max-model-len": 4096}, None),
    ],
)
def test_tasks_that_the_router_does_not_know(image: str, config: Object, where: str | None) -> None:
    kind = "SGLang" if image is _SGLANG else "vLLM"
    found = _warnings(type=kind, workers=[worker(image=image, config=config)])
    told = [text for text in found if "/v1/embeddings" in text]
    assert len(told) == (where is not None)
    assert all(text.startswith(f"spec.backends[0].workers[0].config.{where}: ") for text in told)


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("hf://Qwen/Qwen3-Embedding-0.6B", True),
        ("hf://Qwen/Qwen3-Reranker-8B", True),
        ("hf://BAAI/bge-m3", True),
        ("hf://Alibaba-NLP/gte-Qwen2-7B-instruct", True),
        ("hf://intfloat/multilingual-e5-large", True),
        ("hf://sentence-transformers/all-MiniLM-L6-v2", True),
        ("hf://nomic-ai/nomic-embed-text-v1.5", True),
        ("ms://jinaai/jina-embeddings-v3", True),
        ("hf://openai/whisper-large-v3", True),
        ("s3://models/bge/large", True),
        ("hf://Qwen/Qwen3-8B", False),
        ("hf://google/gemma-3-4b-it", False),
        ("hf://owner/embedded-assistant", False),
        ("hf://owner/model-e50", False),
    ],
)
def test_families_that_the_router_does_not_know(uri: str, told: bool) -> None:
    found = [text for text in _warnings(modelURI=uri) if "/v1/embeddings" in text]
    assert [text.partition(": ")[0] for text in found] == ["spec.backends[0].modelURI"] * told
    stated = worker(image=_VLLM, config={"runner": "generate"})
    assert not [t for t in _warnings(modelURI=uri, workers=[stated]) if "/v1/embeddings" in t]
