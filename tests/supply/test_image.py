"""The environment of the operator's image, made by the script that makes the image."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.controlplane.plane import ControlPlane

ROOT = Path(__file__).parents[2]
LAST_MB = 71
"""60 % of what the environment had with everything that its packages bring."""

PLUGIN = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "cat",
    "interactiveMode": "Never",
}
"""A credential plugin of a kubeconfig; its argument is a file with the credential."""

pytestmark = [pytest.mark.usefixtures("package_index"), pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment."""
    target = tmp_path_factory.mktemp("image") / "model-booster"
    python = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
    script = ROOT / "tools/image/environment.sh"
    done = subprocess.run(
        [script, "operator", python, target], text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return target


def test_the_environment_is_small(home: Path) -> None:
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) < LAST_MB * 1_000_000
    for tool in ("pip", "setuptools"):
        assert not list(home.rglob(f"site-packages/{tool}*"))


LOADERS = """
import collections, json, sys, traceback
from modelbooster.cli import entry
entry._put_our_packages_first()
from modelbooster.cli import serve
serve.load(serve.Part.WEBHOOK | serve.Part.CONTROLLER)
from app.values.duration import is_duration
try:
    is_duration(None)
except TypeError:
    shown = traceback.format_exc()
folders = collections.defaultdict(list)
for name, module in sys.modules.items():
    if getattr(module, "__spec__", None):
        folders[type(module.__spec__.loader).__name__].append(name)
print(json.dumps([folders["SourceFileLoader"], len(folders["Loader"]), shown]))
"""


def test_modules_come_from_one_archive(home: Path) -> None:
    """Also those of the standard library: the base image has no bytecode of them."""
    done = subprocess.run(
        [home / "bin/python", "-c", LOADERS], text=True, capture_output=True, check=True, cwd="/"
    )
    from_folders, from_archive, shown = json.loads(done.stdout)
    before = {"encodings", "encodings.aliases", "encodings.utf_8", "importlib", "bytecode_archive"}
    assert set(from_folders) <= before | {"types", "warnings"}
    assert from_archive > 600
    assert "return _WHOLE.fullmatch(text) is not None" in shown, "a traceback shows sources"


@pytest.mark.parametrize("way", ["token", "plugin"])
def test_commands_read_kubeconfigs(
    home: Path, plane: ControlPlane, tmp_path: Path, way: str
) -> None:
    """The reader of kubeconfigs works without the rest of its library, which is left out."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    if way == "plugin":
        credential = {
            "apiVersion": PLUGIN["apiVersion"],
            "kind": "ExecCredential",
            "status": {"token": plane.token},
        }
        (tmp_path / "credential").write_text(json.dumps(credential))
        config["users"][0]["user"] = {"exec": {**PLUGIN, "args": [str(tmp_path / "credential")]}}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [home / "bin/model-booster", "get", "modelboosters", "--kubeconfig", kubeconfig],
        text=True,
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "No Models found" in done.stderr
