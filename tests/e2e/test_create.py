"""From the name of a model, or from a command, to a served model: ``model-booster create``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, MODEL_SERVING
from app.values.meta import Object
from tests import commands
from tests.conftest import Kubectl, Ran
from tests.e2e.installation import eventually
from tests.world import Admin

Program = Callable[..., Ran]
KIND = "modelbooster.workload.serving.volcano.sh"


@pytest.fixture
def program(kubeconfig: Path) -> Program:
    """The program as the administrator, in the test's namespace."""

    def run(*args: str, stdin: str | None = None) -> Ran:
        return commands.run(kubeconfig, *args, stdin=stdin or "")

    return run


def _engine(serving: Object) -> Object:
    (role,) = serving["spec"]["template"]["roles"]
    containers: dict[str, Object] = {
        c["name"]: c for c in role["entryTemplate"]["spec"]["containers"]
    }
    return containers["engine"]


def test_a_model_in_one_line_is_served(program: Program, admin: Admin) -> None:
    said = program("create", "gpt-oss-20b", "--apply")
    assert (said.stdout, said.code) == (f"{KIND}/gpt-oss-20b created\n", 0), said.stderr
    assert "openai/gpt-oss-20b on 1 x NVIDIA H100 80 GB with vLLM" in said.stderr

    serving = admin.until(MODEL_SERVING, "gpt-oss-20b-vllm")
    assert _engine(serving)["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    admin.serve(MODEL_SERVING, "gpt-oss-20b-vllm")
    said = program("wait", "gpt-oss-20b", "--timeout", "30s")
    assert said.code == 0, said.stderr
    route = admin.until(MODEL_ROUTE, "gpt-oss-20b")
    assert route["spec"]["modelName"] == "gpt-oss-20b"

    assert program("create", "gpt-oss-20b", "--apply").stdout == f"{KIND}/gpt-oss-20b unchanged\n"
    said = program("create", "gpt-oss-20b", "--apply", "--set", "maxModelLen=8192")
    assert said.stdout == f"{KIND}/gpt-oss-20b configured\n"
    admin.until(MODEL_SERVING, "gpt-oss-20b-vllm", lambda obj: "8192" in _engine(obj)["command"])


def test_a_command_with_a_token_is_served(program: Program, kubectl: Kubectl, admin: Admin) -> None:
    command = (
        "docker run --gpus all -e HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz -p 8000:8000 --ipc=host "
        "vllm/vllm-openai:v0.10.2 --model Qwen/Qwen3-8B --max-model-len 32k"
    )
    said = program("create", "--from", "-", "--apply", stdin=command)
    assert (said.stdout, said.code) == (f"{KIND}/qwen3-8b created\n", 0), said.stderr

    engine = _engine(admin.until(MODEL_SERVING, "qwen3-8b-vllm"))
    assert engine["command"][5:7] == ["--max-model-len", "32k"]
    env = {entry["name"]: entry for entry in engine["env"]}
    assert env["HF_TOKEN"]["valueFrom"]["secretKeyRef"]["name"] == "qwen3-8b-secrets"
    (line,) = (line for line in said.stderr.splitlines() if "kubectl create secret" in line)
    create = line.partition("kubectl ")[2].replace('"$HF_TOKEN"', "hf_made_up")
    assert kubectl(*create.split()).code == 0
    admin.serve(MODEL_SERVING, "qwen3-8b-vllm")
    assert kubectl("wait", "mb/qwen3-8b", "--for=condition=Ready", "--timeout=30s").code == 0


def test_the_webhook_refuses_in_its_words(program: Program, admin: Admin) -> None:
    said = program("create", "gpt-oss-20b", "--apply", "--set", "config.max-modellen=1")

    assert (said.stdout, said.code) == ("", 1)
    assert "spec.backends[0].workers[0].config.max-modellen: Forbidden: vLLM 0.33.0 " in said.stderr
    assert "did you mean max-model-len?" in said.stderr
    assert admin.get(MODEL_BOOSTER, "gpt-oss-20b") is None


def test_a_name_that_is_taken_is_refused(program: Program) -> None:
    assert program("create", "gpt-oss-20b", "--apply").code == 0
    other = ("create", "Qwen3-32B", "--apply", "--set", "modelName=gpt-oss-20b")
    # The webhook compares names by what its informers have seen, so it may take a moment.
    eventually(lambda: program(*other, "--dry-run", "server").code == 1)

    said = program(*other)

    assert said.code == 1
    assert "modelName is already routed by ModelRoute" in said.stderr


def test_warnings_of_the_webhook_are_printed(program: Program) -> None:
    said = program(
        *("create", "--from", "docker run me/vllm:mine vllm serve Qwen/Qwen3-8B", "--apply")
    )
    assert said.code == 0
    assert "Warning: " in said.stderr


def test_a_manifest_with_kthena_s_flags_is_served(program: Program, admin: Admin) -> None:
    said = program(
        *("create", "manifest", "--template", "Qwen/Qwen3-8B", "--name", "chat"), stdin="y\n"
    )
    assert said.code == 0, said.stderr
    assert said.stdout.endswith("All resources applied successfully!\n")
    admin.until(MODEL_SERVING, "chat-vllm")
