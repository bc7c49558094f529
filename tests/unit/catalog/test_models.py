"""The models of the catalogue: promised names are there, and facts agree with each other."""

from __future__ import annotations

from dataclasses import fields

from app.catalog.schema import ModelFacts
from app.catalog.templates import template_names, templates

PROMISED = """
Qwen/Qwen3-32B Qwen/Qwen3-32B-NPU Qwen/Qwen3-8B Qwen/Qwen3-8B-NPU
Qwen/Qwen3-Coder-30B-A3B-Instruct Qwen/Qwen3-Coder-30B-A3B-Instruct-NPU
Qwen/Qwen3-Coder-30B-A3B-Instruct-PD-Disaggregated-LMCache
Qwen/Qwen3-Coder-30B-A3B-Instruct-PD-Disaggregated-Mooncake
Qwen/Qwen3-Coder-30B-A3B-Instruct-PD-Disaggregated-NixlConnector
deepseek-ai/DeepSeek-R1
deepseek-ai/DeepSeek-R1-Distill-Qwen-7B deepseek-ai/DeepSeek-R1-Distill-Qwen-7B-NPU
deepseek-ai/DeepSeek-R1-Distill-Qwen-32B deepseek-ai/DeepSeek-R1-Distill-Qwen-32B-NPU
google/gemma-2-2b-it google/gemma-2-27b-it google/gemma-3-4b-it google/gemma-3-27b-it
meta-llama/Llama-3.2-1B-Instruct meta-llama/Llama-3.3-70B-Instruct
meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8 meta-llama/Llama-4-Scout-17B-16E-Instruct
meta-llama/Meta-Llama-3-8B mistralai/Mistral-Small-24B-Instruct-2501
mistralai/Mixtral-8x7B-Instruct-v0.1 mistralai/Mixtral-8x22B-Instruct-v0.1
openai/gpt-oss-20b openai/gpt-oss-120b
"""
"""The templates of kthena's releases."""

BYTES = {
    "bf16": (1.98, 2.02),
    "fp8": (1.0, 1.05),
    "int4": (0.5, 0.6),
    "mxfp4": (0.54, 0.67),
}
"""Bytes of a parameter, by precision. Some weights of each checkpoint are more precise."""

TWICE = {"Qwen/Qwen3-0.6B": 2.51}
"""Checkpoints that hold the embedding twice, although it is one."""


def models() -> list[ModelFacts]:
    return [template.model for template in templates() if template.variant is None]


def test_the_promised_templates_exist() -> None:
    assert set(PROMISED.split()) <= set(template_names())


def test_the_size_of_the_weights_agrees_with_the_parameters() -> None:
    for model in models():
        least, most = BYTES[model.weights.precision]
        each = model.weights.bytes / model.parameters
        # The layer for speculation is in the files, but not in the number on the page.
        most = TWICE.get(model.name, most)
        assert least <= each <= most, f"{model.name}: {each:.3f} bytes of each parameter"


def test_sources_name_fields_of_the_file() -> None:
    known = {camel(field.name) for field in fields(ModelFacts)}
    for model in models():
        for source in model.sources:
            assert {fact.partition(".")[0] for fact in source.facts} <= known, model.name


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
