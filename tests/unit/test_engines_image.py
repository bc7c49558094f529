"""Which release an image has, and how surely its rules are known."""

from __future__ import annotations

import pytest

from app.engines.engine import engine_of
from app.engines.image import release_of_image
from app.engines.release import release
from app.engines.table import releases

DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("engine", "image", "want"),
    [
        ("vllm", "vllm/vllm-openai:v0.9.2", "0.9.2"),
        ("vllm", "docker.io/vllm/vllm-openai:0.9.2", "0.9.2"),
        ("vllm", "registry.example.com:5000/mirror/vllm-openai:v0.16.0", "0.16.0"),
        ("vllm", f"vllm/vllm-openai:v0.9.2@{DIGEST}", "0.9.2"),
        ("vllm", "vllm/vllm-openai:v0.9.2-cu118", "0.9.2"),
        ("vllm", "vllm/vllm-openai:v0.10.1.1", "0.10.1.1"),
        ("vllm", "vllm/vllm-openai:v0.8.5.post1", "0.8.5.post1"),
        ("vllm", "vllm/vllm-openai:v0.11.0rc2", "0.11.0rc2"),
        ("vllm", "vllm/vllm-openai-rocm:v0.16.0", "0.16.0"),
        ("vllm", "public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.9.2", "0.9.2"),
        ("vllm", "quay.io/ascend/vllm-ascend:v0.9.2rc1", "0.9.2"),
        ("vllm", "quay.io/ascend/vllm-ascend:v0.11.0rc1-a3-openeuler", "0.11.0"),
        ("vllm", "rocm/vllm:rocm6.4.1_vllm_0.9.1_20250702", "0.9.1"),
        ("sglang", "lmsysorg/sglang:v0.4.9.post6-cu126", "0.4.9.post6"),
        ("sglang", "mirror.example.com/lmsysorg/sglang:v0.5.23", "0.5.23"),
        ("vllm", "vllm/vllm-openai:latest", None),
        ("vllm", "vllm/vllm-openai", None),
        ("vllm", "vllm/vllm-openai:nightly-0123456789abcdef", None),
        ("vllm", f"vllm/vllm-openai@{DIGEST}", None),
        ("vllm", "registry.example.com:5000/vllm-openai", None),
        ("vllm", "example.com/team/my-model:v1.2.0", None),
        ("vllm", "nvcr.io/nvidia/vllm:25.09-py3", None),
        ("vllm", "lmsysorg/sglang:v0.5.23", None),
        ("sglang", "vllm/vllm-openai:v0.9.2", None),
        ("sglang", "lmsysorg/sglang-router:v0.3.0", None),
        ("vllm", "vllm/vllm-openai:v0.9", None),
    ],
)
def test_an_image_tells_its_release(engine: str, image: str, want: str | None) -> None:
    found = release_of_image(engine, image)

    assert (None if found is None else str(found)) == want


def test_releases_have_an_order() -> None:
    names = ["0.4.9", "0.4.9.post6", "0.5.0", "0.9.2rc1", "0.9.2", "0.10.0", "0.10.1", "0.10.1.1"]

    assert sorted(map(release, reversed(names))) == list(map(release, names))


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_an_unknown_release_is_assumed_to_be_the_newest(name: str) -> None:
    engine = engine_of(name, "example.com/own:latest")

    assert engine.assumed
    assert engine.table.release == releases(name)[-1]


def test_what_is_stated_wins_over_the_tag() -> None:
    engine = engine_of("vllm", "vllm/vllm-openai:v0.9.2", "0.16.0")

    assert (str(engine.release), engine.exact, engine.assumed) == ("0.16.0", True, False)


def test_between_two_tables_the_older_one_holds() -> None:
    engine = engine_of("vllm", "vllm/vllm-openai:v0.10.0")

    assert str(engine.table.release) == "0.9.2"
    assert engine.above is not None
    assert str(engine.above.release) == "0.10.2"


@pytest.mark.parametrize(("tag", "table"), [("v0.6.0", "0.8.5"), ("v9.0.0", "0.33.0")])
def test_beyond_the_tables_the_nearest_holds(tag: str, table: str) -> None:
    engine = engine_of("vllm", f"vllm/vllm-openai:{tag}")

    assert str(engine.table.release) == table
    assert not engine.exact


@pytest.mark.parametrize(
    ("flag", "tag", "want"),
    [
        ("kv-events-config", "v0.8.5", False),
        ("kv-events-config", "v0.8.5.post1", False),
        ("kv-events-config", "v0.9.0", True),
        ("kv-events-config", "v0.33.0", True),
        ("kv-events-config", "latest", True),
        ("nnodes", "v0.11.0", False),
        ("nnodes", "v0.11.1", True),
        ("nnodes", "v9.0.0", True),
        ("swap-space", "v0.17.0", True),
        ("swap-space", "v0.18.1", False),
        ("disable-log-requests", "v0.20.0", False),
        ("disable-log-requests", "v0.33.0", True),
        ("max-model-len", "v0.14.0", True),
        ("weight-transfer-config", "v0.14.0", False),
        ("max-model-len", "v0.1.0", True),
    ],
)
def test_whether_a_release_has_a_flag(flag: str, tag: str, want: bool) -> None:
    assert engine_of("vllm", f"vllm/vllm-openai:{tag}").has(flag) is want


def test_a_statement_that_is_no_release_is_refused() -> None:
    with pytest.raises(ValueError, match="no release"):
        engine_of("vllm", "vllm/vllm-openai:v0.9.2", "newest")
