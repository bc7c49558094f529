"""The program as a plugin of the real kubectl, from krew, and its completion in a shell."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from modelbooster.offline.dialect import to_json
from tests.builders import booster_object
from tests.controlplane import clients
from tools import krew

BIN = Path(sys.executable).parent
KREW = "v0.4.3"


def run(*command: str | Path, path: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": path or f"{BIN}:{os.environ['PATH']}"}
    return subprocess.run(
        command, env=environment, input=stdin, capture_output=True, text=True, check=False
    )


def test_kubectl_runs_it_as_a_plugin() -> None:
    kubectl = clients.kubectl()
    assert str(BIN / "kubectl-model_booster") in run(kubectl, "plugin", "list").stdout
    valid = run(kubectl, "model-booster", "validate", stdin=to_json(booster_object("chat")))
    assert (valid.returncode, valid.stdout) == (0, 'stdin:1: ModelBooster "chat" is valid\n')
    usage = run(kubectl, "model-booster", "validate", "--help").stdout
    assert usage.startswith("Usage: kubectl model-booster validate [OPTIONS]")


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (["rend"], ["render\tPrint the children, without a cluster.", ":4"]),
        (["render", "--kthena", "v0.4"], ["v0.4.0", ":4"]),
        (["validate", ""], [":0"]),
    ],
    ids=["command", "value", "files"],
)
def test_kubectl_completes_its_words(words: list[str], want: list[str]) -> None:
    done = run(clients.kubectl(), "__complete", "model-booster", *words)
    assert done.stdout.splitlines() == want


def test_bash_completes_its_words() -> None:
    script = (
        "source <(model-booster completion bash)\n"
        "COMP_WORDS=(model-booster rend); COMP_CWORD=1\n"
        '_model_booster_completion model-booster rend model-booster; echo "${COMPREPLY[@]}"\n'
    )
    done = run("bash", "-c", script)
    assert (done.stdout, done.stderr) == ("render\n", "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script(shell: str) -> None:
    script = run("model-booster", "completion", shell).stdout
    assert f"_MODEL_BOOSTER_COMPLETE={shell}_complete" in script


def test_krew_manifest_describes_its_archive(tmp_path: Path) -> None:
    run(sys.executable, "-m", "tools.krew", tmp_path, "https://github.com/team/booster")
    manifest = yaml.safe_load((tmp_path / "model-booster.yaml").read_text())
    spec = manifest["spec"]
    # What krew's own validation asks for.
    assert re.fullmatch(r"v\d+\.\d+\.\d+", spec["version"])
    assert len(spec["shortDescription"]) <= 50
    (platform,) = spec["platforms"]
    packed = (tmp_path / krew.ARCHIVE).read_bytes()
    assert platform["sha256"] == hashlib.sha256(packed).hexdigest()
    with tarfile.open(tmp_path / krew.ARCHIVE) as tar:
        tar.extractall(tmp_path, filter="data")
    assert {entry["from"] for entry in platform["files"]} == {"kubectl-model_booster", "LICENSE"}
    assert platform["uri"].startswith("https://github.com/team/booster/releases/download/v")
    assert krew.archive() == packed
    # kubectl finds the plugin in krew's folder, and the plugin the program.
    os.remove(tmp_path / krew.ARCHIVE)
    folders = f"{tmp_path}:{BIN}:/usr/bin:/bin"
    done = run(clients.kubectl(), "model-booster", "crd", path=folders)
    assert done.stdout == run("model-booster", "crd").stdout
    without = run(tmp_path / platform["bin"], "crd", path="/usr/bin:/bin")
    assert without.returncode == 1
    assert "pipx install model-booster" in without.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_krew_accepts_and_installs_the_plugin(tmp_path: Path) -> None:
    tools, root = tmp_path / "tools", tmp_path / "krew"
    run(sys.executable, "-m", "tools.krew", tmp_path, "https://github.com/team/booster")
    environment = {**os.environ, "GOBIN": str(tools), "KREW_ROOT": str(root)}
    manifest = tmp_path / "model-booster.yaml"
    options = [f"--manifest={manifest}", f"--archive={tmp_path / krew.ARCHIVE}"]
    for command in (
        ["go", "install", f"sigs.k8s.io/krew/cmd/krew@{KREW}"],
        ["go", "install", f"sigs.k8s.io/krew/cmd/validate-krew-manifest@{KREW}"],
        [str(tools / "validate-krew-manifest"), "-manifest", str(manifest), "-skip-install"],
        [str(tools / "krew"), "install", *options],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = run(clients.kubectl(), "model-booster", "crd", path=f"{root}/bin:{BIN}:/usr/bin:/bin")
    assert done.stdout == run("model-booster", "crd").stdout
