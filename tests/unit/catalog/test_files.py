"""Files of the catalogue are read strictly, and a fault names file, field and value."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.catalog import files
from app.catalog.files import FOLDER, CatalogError, read_model
from app.catalog.templates import UnknownTemplate, find_template, template_names, templates
from modelbooster.authoring.composing import template_of

PATTERN: dict[str, Any] = yaml.safe_load((FOLDER / "Qwen/Qwen3-32B.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The file with one value replaced; removed if the value is ``...``."""
    content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(PATTERN))
    *way, last = path.split("/")
    at: Any = content
    for step in way:
        at = at[int(step) if isinstance(at, list) else step]
    if value is ...:
        del at[last]
    else:
        at[int(last) if isinstance(at, list) else last] = value
    return content


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("layers", "64", "layers: Input should be a valid integer (is '64')"),
        ("layers", 0, "layers: 0 must be above 0"),
        ("layers", ..., "layers: Field required"),
        ("weights/bytes", "65 gigabytes", "weights.bytes: Input should be a valid integer"),
        ("weights/precision", "bf17", "weights.precision: Input should be 'bf16'"),
        ("gated", "no one knows", "gated: Input should be a valid boolean"),
        ("colour", "blue", "colour: Unexpected keyword argument (is 'blue')"),
        ("kv_layers", 3, "kv_layers: Unexpected keyword argument"),
        ("attention/kvHeads", ..., "attention: needs kvHeads and headSize"),
        ("attention/latentSize", 512, "exclude latentSize"),
        ("engines", {}, "engines: must not be empty"),
        ("engines/tgi", {"since": "1.0.0"}, "engines.tgi"),
        ("engines/vllm/since", "latest", 'engines.vllm.since: "latest" must match'),
        ("profiles", [], "profiles: must not be empty"),
        ("profiles/0/device", "h1000", 'device: "h1000" is none of t4-16gb'),
        ("profiles/0/tensor", 3, "tensor 3 x pipeline 1 must be devices x pods, 2"),
        ("profiles/0/context", 50000, "context 50000 is more than 40960"),
        ("profiles/1/device", "h100-80gb", "profiles: h100-80gb-x2 occurs twice"),
        ("sources/0/facts", ["gated"], "sources: none for license"),
        ("name", "Qwen/Qwen4", "must be"),
    ],
)
def test_faults_name_the_field(tmp_path: Path, path: str, value: Any, said: str) -> None:
    folder = tmp_path / "Qwen"
    folder.mkdir()
    file = folder / "Qwen3-32B.yaml"
    file.write_text(yaml.safe_dump(changed(path, value)))
    with pytest.raises(CatalogError) as caught:
        read_model(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"{file}: ")


def test_broken_yaml_is_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("a: [1,\n")
    with pytest.raises(CatalogError, match=r"x\.yaml"):
        read_model(file)


def test_the_index_holds_what_the_files_say() -> None:
    assert files.read_models() == [t.model for t in templates() if t.variant is None]


def test_names_of_templates_and_of_boosters_are_unique() -> None:
    names = Counter(template.short_name for template in templates())
    assert [name for name, count in names.items() if count > 1] == []
    assert list(template_names()) == sorted(template_names(), key=str.encode)


def test_a_template_is_found_by_its_bare_name_too() -> None:
    wanted = find_template("Qwen/Qwen3-32B")
    for name in ("Qwen3-32B", "qwen3-32b", "QWEN/qwen3-32b"):
        assert find_template(name) == wanted
    assert find_template("qwen3-32b-npu") == find_template("Qwen/Qwen3-32B-NPU")
    for name in ("hf://Qwen/Qwen3-32B", "https://huggingface.co/Qwen/Qwen3-32B/"):
        assert template_of(name) == wanted


def test_an_unknown_name_says_how_to_list_all() -> None:
    with pytest.raises(UnknownTemplate) as caught:
        find_template("zzz")
    assert str(caught.value) == (
        "template 'zzz' not found; \"model-booster get templates\" lists all"
    )
