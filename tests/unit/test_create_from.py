"""What ``model-booster create --from`` makes of commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.values.meta import Object
from modelbooster.cli.main import main
from modelbooster.commandline.draft import Draft, draft
from modelbooster.commandline.reading import Choices

Ran = tuple[int | str | None, str, str]


def no_files(name: str) -> str:
    raise AssertionError(f"{name} is read")


def made(text: str, **choices: Any) -> Draft:
    return draft(text, Choices(**choices), no_files)


def worker_of(found: Draft) -> Object:
    worker: Object = found.booster["spec"]["backends"][0]["workers"][0]
    return worker


def config_of(text: str, **choices: Any) -> Object:
    config: Object = worker_of(made(text, **choices)).get("config", {})
    return config


@pytest.fixture
def create(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs ``create``; returns exit code, stdout and stderr."""

    def run(*args: str) -> Ran:
        with pytest.raises(SystemExit) as ended:
            main(("create", *args))
        out = capsys.readouterr()
        return ended.value.code or 0, out.out, out.err

    return run


SECRETS = {
    "in -e": "docker run -e HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz vllm/vllm-openai:v0.10.2 "
    "--model Qwen/Qwen3-8B",
    "by its form only": "docker run -e EXTRA=hf_abcdefghijklmnopqrstuvwxyz "
    "vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-8B",
    "before the command": "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz vllm serve Qwen/Qwen3-8B",
    "exported": "export HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz\nvllm serve Qwen/Qwen3-8B",
    "as a key": "vllm serve Qwen/Qwen3-8B --api-key hf_abcdefghijklmnopqrstuvwxyz",
    "as a key of SGLang": "sglang serve --model-path Qwen/Qwen3-8B "
    "--api-key=hf_abcdefghijklmnopqrstuvwxyz",
    "in a proxy's address": "docker run -e "
    "HTTPS_PROXY=http://user:hf_abcdefghijklmnopqrstuvwxyz@proxy:3128 "
    "vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-8B",
    "inside of a variable": "docker run -e "
    'CFG=\'{"t": "hf_abcdefghijklmnopqrstuvwxyz"}\' vllm/vllm-openai:v0.10.2 --model '
    "Qwen/Qwen3-8B",
    "inside of an object": "vllm serve Qwen/Qwen3-8B --additional-config "
    '\'{"token": "hf_abcdefghijklmnopqrstuvwxyz"}\'',
    "in a field of an object": "vllm serve Qwen/Qwen3-8B --hf-overrides "
    '\'{"a": {"password": "abcdefghijklmno"}}\'',
    "in a field with a path": "vllm serve Qwen/Qwen3-8B "
    "--hf-overrides.a.access_key abcdefghijklmno",
    "by a name of its own": "MY_PASSPHRASE=abcdefghijklmno vllm serve Qwen/Qwen3-8B",
    "in an argument": "vllm serve Qwen/Qwen3-8B --root-path hf_abcdefghijklmnopqrstuvwxyz",
}


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_never_printed(create: Callable[..., Ran], text: str) -> None:
    code, out, err = create("--from", text, "-n", "team")

    assert code == 0, err
    assert "abcdefghijklm" not in out + err
    assert "secretKeyRef" in out
    assert "kubectl create secret generic qwen3-8b-secrets --namespace=team --from-literal=" in err


def test_a_secret_in_a_refused_command_is_not_printed(create: Callable[..., Ran]) -> None:
    code, out, err = create(
        "--from", "vllm serve Qwen/Qwen3-8B --hf-tokken hf_abcdefghijklmnopqrstuvwxyz --dtypo x"
    )

    assert (code, out) == (2, "")
    assert "abcdefghijklm" not in err
    assert "--dtypo: vLLM 0.33.0 has no such flag; did you mean dtype?" in err


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve a/b hf_abcdefghijklmnopqrstuvwxyz",
        "docker run -e HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz --gpu all image",
        "vllm serve --port hf_abcdefghijklmnopqrstuvwxyz a/b",
        "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz vllm serve 'a/b",
        "vllm serve a/b --dtype hf_abcdefghijklmnopqrstuvwxyz",
        "vllm serve https://me:abcdefghijklmno@huggingface.co/a/b",
        "vllm serve s3://AKIAIOSFODNN7:abcdefghijklmno@bucket/b",
        "vllm serve hf_abcdefghijklmnopqrstuvwxyz/b",
        "vllm serve a/b --enable-lora --lora-modules x=s3://me:abcdefghijklmno@bucket/x",
        "hf_abcdefghijklmnopqrstuvwxyz",
        "docker run -v /run/hf_abcdefghijklmnopqrstuvwxyz:/x vllm/vllm-openai:v0.10.2 --model a/b",
    ],
)
def test_no_message_holds_a_secret(create: Callable[..., Ran], text: str) -> None:
    _, out, err = create("--from", text)
    assert "abcdefghijklm" not in out + err


def test_a_secret_given_twice_is_one_variable() -> None:
    found = made("VLLM_API_KEY=a HF_TOKEN=b vllm serve a/b --api-key c --hf-token d")
    env = found.booster["spec"]["backends"][0]["env"]
    assert sorted(each["name"] for each in env) == ["HF_TOKEN", "VLLM_API_KEY"]


def test_special_tokens_of_a_model_are_no_secrets() -> None:
    config = config_of("""vllm serve a/b --hf-overrides '{"pad_token": "<pad>", "n": 1}'""")
    assert config["hf-overrides"] == {"pad_token": "<pad>", "n": 1}


def test_an_unknown_flag_names_the_release_and_the_nearest(create: Callable[..., Ran]) -> None:
    code, out, err = create(
        "--from", "docker run vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-8B --max-modellen 32k"
    )

    assert (code, out) == (2, "")
    assert err == (
        "Error: --max-modellen: vLLM 0.10.2 has no such flag; did you mean max-model-len?\n"
    )


REFUSED = {
    "no engine": ("echo hello", "starts no engine that is known"),
    "a shell only": ("docker run -it vllm/vllm-openai:v0.10.2 bash", "starts no engine"),
    "two engines": ("vllm serve a/b &\nvllm serve c/d", "starts 2 engines"),
    "an open quote": ("vllm serve 'a/b", "cannot be read: no closing quotation"),
    "no model": ("vllm serve --dtype auto", "names no model"),
    "a word too many": ("vllm serve a/b c/d", "belong to no flag: c/d"),
    "a folder": ("vllm serve /srv/models/x", "--model-uri hf://OWNER/NAME"),
    "an unknown model": ("vllm serve $MODEL", "$MODEL is not in the command"),
    "an unknown value": ("vllm serve a/b --max-model-len $LEN", "$LEN is not in the command"),
    "a wrong choice": ("vllm serve a/b --dtype fp16", "--dtype: must be one of: auto, bfloat16"),
    "a switch with a value": (
        "vllm serve a/b --enable-prefix-caching false",
        "--enable-prefix-caching: is a switch and takes no value; to turn it off, write "
        "--no-enable-prefix-caching",
    ),
    "an option of docker": (
        "docker run --gpu all vllm/vllm-openai:v0.10.2 --model a/b",
        "docker run has no option --gpu; did you mean --gpus?",
    ),
    "no image": ("docker run --rm", "names no image"),
    "a file of arguments": ("vllm serve a/b --config x.yaml", "the file is on your machine"),
    "half of a pair": (
        'vllm serve a/b --kv-transfer-config \'{"kv_connector":"NixlConnector",'
        '"kv_role":"kv_producer"}\'',
        "one backend of type vLLMDisaggregated",
    ),
    "half of a pair of SGLang": (
        "sglang serve --model-path a/b --disaggregation-mode prefill",
        "one backend of type SGLangDisaggregated",
    ),
    "ranks of data on several machines": (
        "vllm serve a/b --data-parallel-size 4 --data-parallel-size-local 2",
        "use replicas",
    ),
    "no such release": ("pip install vllm==nope\nvllm serve a/b", '"nope" is no release'),
}


@pytest.mark.parametrize(("text", "want"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_carried_is_refused(
    create: Callable[..., Ran], text: str, want: str
) -> None:
    code, out, err = create("--from", text)

    assert (code, out) == (2, "")
    assert want in err


@pytest.mark.parametrize(
    ("words", "want"),
    [
        ("--max-model-len=32k", {"max-model-len": "32k"}),
        ("--max_model_len 4096", {"max-model-len": 4096}),
        ("--no-enable-prefix-caching", {"enable-prefix-caching": False}),
        ("--enforce-eager True", {"enforce-eager": True}),
        ("-tp 2 -q awq", {"tensor-parallel-size": 2, "quantization": "awq"}),
        ("-O3", {"optimization-level": "3"}),
        ("-cc.mode=3", {"compilation-config.mode": 3}),
        ("--seed -1", {"seed": -1}),
        ("--gpu-memory-utilization .95", {"gpu-memory-utilization": 0.95}),
        ("--middleware a --middleware b", {"middleware": ["a", "b"]}),
        ("--allowed-origins '[\"*\"]'", {"allowed-origins": ["*"]}),
        ("--max-model-le 8", {"max-model-len": 8}),
        ("--tokenizer a/b", {}),
        ("--tokenizer c/d", {"tokenizer": "c/d"}),
        ("--root-path /v1", {"root-path": "/v1"}),
        (
            "--kv-transfer-config.kv_connector X --kv-transfer-config.kv_role kv_both",
            {"kv-transfer-config.kv_connector": "X", "kv-transfer-config.kv_role": "kv_both"},
        ),
    ],
)
def test_arguments_become_values_of_their_types(words: str, want: Object) -> None:
    assert config_of(f"vllm serve a/b {words}") == want


def test_the_image_decides_which_flags_there_are() -> None:
    text = "docker run vllm/vllm-openai:v0.10.2 --model a/b -O3"
    assert config_of(text) == {"compilation-config.level": 3}


def test_a_release_between_two_tables_has_the_flags_of_both() -> None:
    text = "sglang serve --model-path a/b --cuda-graph-bs 8 16 --moe-a2a-backend deepep"
    assert config_of(text, release="0.5.4") == {
        "cuda-graph-bs": [8, 16],
        "moe-a2a-backend": "deepep",
    }


def test_a_file_of_variables_is_read(tmp_path: Path, create: Callable[..., Ran]) -> None:
    file = tmp_path / "docker.env"
    file.write_text("# tokens\nHF_TOKEN=hf_x\nVLLM_LOGGING_LEVEL=DEBUG\nFROM_SHELL\n")

    code, out, err = create(
        "--from",
        f"docker run --env-file {file} -e VLLM_LOGGING_LEVEL=INFO vllm/vllm-openai:v0.10.2 "
        "--model a/b",
    )

    assert code == 0
    env = {e["name"]: e for e in yaml.safe_load(out)["spec"]["backends"][0]["env"]}
    assert env["VLLM_LOGGING_LEVEL"]["value"] == "INFO"
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "b-secrets", "key": "HF_TOKEN"}
    assert "FROM_SHELL is left out" in err


def test_a_missing_file_of_variables_is_a_wrong_call(create: Callable[..., Ran]) -> None:
    code, _, err = create("--from", "docker run --env-file none.env vllm/vllm-openai --model a/b")

    assert code == 2
    assert err == "Error: none.env: No such file or directory\n"


def test_clients_keep_the_name_that_they_send() -> None:
    spec = made("vllm serve Qwen/Qwen3-8B").booster["spec"]
    assert spec["name"] == "Qwen/Qwen3-8B"
    spec = made("vllm serve Qwen/Qwen3-8B --served-model-name chat other").booster["spec"]
    assert spec["name"] == "chat"


def test_what_the_user_states_wins() -> None:
    found = made(
        "vllm serve Qwen/Qwen3-8B",
        name="chat",
        namespace="team",
        image="registry.example.com/vllm:mine",
        release="0.16.0",
        cache_uri="pvc://models",
        resource="nvidia.com/gpu.shared",
        pods=1,
    )
    annotation = "workload.serving.volcano.sh/engine-release"
    assert found.booster["metadata"] == {
        "name": "chat",
        "namespace": "team",
        "annotations": {annotation: "0.16.0"},
    }
    worker = worker_of(found)
    assert worker["image"] == "registry.example.com/vllm:mine"
    assert worker["resources"]["limits"] == {"nvidia.com/gpu.shared": "1"}
    assert found.booster["spec"]["backends"][0]["cacheURI"] == "pvc://models"


@pytest.mark.parametrize(
    ("kthena", "form"),
    [
        ("v0.1.0", ("backends", ["maxReplicas", "minReplicas"])),
        ("v0.4.0", ("backend", ["maxReplicas", "minReplicas"])),
        ("v1.0.0", ("backend", ["replicas"])),
    ],
)
def test_kthena_decides_the_form(kthena: str, form: tuple[str, list[str]]) -> None:
    spec = made("vllm serve a/b", kthena=kthena).booster["spec"]
    (field,) = (name for name in spec if name.startswith("backend"))
    backend = spec[field][0] if field == "backends" else spec[field]
    assert (field, sorted(name for name in backend if "eplicas" in name)) == form


def test_the_command_may_come_from_standard_input(
    create: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("vllm serve Qwen/Qwen3-8B \\\n  --seed 1\n"))

    code, out, _ = create("--from", "-", "-o", "json")

    assert code == 0
    assert '"seed": 1' in out


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("nerdctl --namespace k8s.io run vllm/vllm-openai:v0.10.2 --model a/b", "v0.10.2"),
        ("docker -H tcp://host:2375 container run vllm/vllm-openai:v0.11.2 --model a/b", "v0.11.2"),
        ("apptainer exec --nv docker://vllm/vllm-openai:v0.16.0 vllm serve a/b", "v0.16.0"),
        (
            "numactl -N 0 uv run --with vllm==0.13.0 python -m vllm.entrypoints.openai.api_server "
            "--model a/b",
            "v0.13.0",
        ),
        (
            "docker run -itd --rm -p8000:8000 -eA=b --gpus=all vllm/vllm-openai:v0.9.2 serve a/b",
            "v0.9.2",
        ),
        (
            "docker run --entrypoint=/bin/bash vllm/vllm-openai:v0.18.0 -lc 'vllm serve a/b'",
            "v0.18.0",
        ),
        ('docker exec -it c bash -c "MODEL=a/b; vllm serve $MODEL"', "v0.33.0"),
    ],
)
def test_containers_and_programs_around_are_read(text: str, image: str) -> None:
    found = made(text)
    assert found.booster["spec"]["backends"][0]["modelURI"] == "hf://a/b"
    assert worker_of(found)["image"] == f"vllm/vllm-openai:{image}"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("numactl -N 0 vllm serve a/b", "left out around the engine: numactl"),
        ("CUDA_VISIBLE_DEVICES=0,1 vllm serve a/b", "shows 2 devices, but its engine uses 1"),
        (
            "CUDA_VISIBLE_DEVICES=0 vllm serve a/b -tp 2",
            "shows 1 devices to an engine that needs 2",
        ),
        ("HF_HUB_OFFLINE=1 vllm serve a/b", "HF_HUB_OFFLINE is left out: pods download the model"),
        ("HF_HUB_ENABLE_HF_TRANSFER=1 vllm serve a/b", "HF_HUB_ENABLE_HF_TRANSFER is left out"),
        ("VLLM_HOST_IP=1.2.3.4 vllm serve a/b", "VLLM_HOST_IP is left out"),
        ("vllm serve a/b --chat-template ./x.jinja", "--chat-template ./x.jinja is left out"),
        ("vllm serve a/b --lora-modules x=/srv/x", "adapters left out: x"),
        ("vllm serve a/b --download-dir /srv", "--download-dir is left out"),
        ("docker run -v /srv:/srv vllm/vllm-openai:v0.10.2 --model a/b", "/srv (as /srv) is not"),
        ("docker run --net host vllm/vllm-openai:v0.10.2 --model a/b", "--net left out"),
        ("docker run -e X=$X vllm/vllm-openai:v0.10.2 --model a/b", "X is left out: its value"),
        ("vllm serve a/b --dtype auto --dtype half", "--dtype is given twice"),
        (
            'vllm serve a/b --speculative-config \'{"model": "/srv/draft"}\'',
            "--speculative-config: model is /srv/draft",
        ),
    ],
)
def test_what_is_left_out_is_told(text: str, want: str) -> None:
    assert want in "\n".join(made(text).notes)


@pytest.mark.parametrize(
    ("image", "words", "pods", "executor"),
    [
        ("vllm/vllm-openai:v0.10.2", "-tp 8 -pp 2 --distributed-executor-backend ray", 2, "ray"),
        ("vllm/vllm-openai:latest", "-tp 8 -pp 2 --distributed-executor-backend ray", 2, "mp"),
        ("vllm/vllm-openai:latest", "-tp 16 --nnodes 2 --node-rank 0", 2, "mp"),
        ("vllm/vllm-openai:v0.33.0", "-tp 16", 2, "mp"),
        ("vllm/vllm-openai:v0.33.0", "-tp 2 --distributed-executor-backend ray", 1, None),
        ("me/vllm:mine", "-tp 8 -pp 2 --distributed-executor-backend ray", 2, "ray"),
        ("vllm/vllm-openai:v0.33.0", "-tp 2 --distributed-executor-backend mp", 1, "mp"),
    ],
)
def test_pods_of_one_engine_find_each_other(
    image: str, words: str, pods: int, executor: str | None
) -> None:
    worker = worker_of(made(f"docker run --gpus all {image} vllm serve a/b {words}"))
    assert worker["pods"] == pods
    assert worker["config"].get("distributed-executor-backend") == executor
    assert "nnodes" not in worker["config"]


@pytest.mark.parametrize(
    ("args", "want"),
    [
        ((), "name a model of the catalogue"),
        (("gpt-oss-20b", "--from", "vllm serve a/b"), "one of both"),
        (("--from", "vllm serve a/b", "--set", "replicas=2"), "--set: with --from"),
        (("--from", "vllm serve a/b", "--gpu", "h100"), "--gpu with --from"),
        (("Qwen3-32B", "--image", "x"), "--image: is an option of --from"),
    ],
)
def test_a_wrong_call_is_explained(
    create: Callable[..., Ran], args: tuple[str, ...], want: str
) -> None:
    code, out, err = create(*args)
    assert (code, out) == (2, "")
    assert want in err


def test_every_option_is_on_the_page() -> None:
    from modelbooster.cli.catalog.create import create as command

    page = (Path(__file__).parents[2] / "docs/create.md").read_text()
    names = [opt for param in command.params for opt in param.opts if opt.startswith("--")]
    assert [name for name in names if name not in page] == []
