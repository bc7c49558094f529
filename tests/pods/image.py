"""The image of the operator, as the Dockerfile makes it, without docker.

Its environment is made by the script that the Dockerfile runs too, and its settings are read from
the Dockerfile. Only the base differs: Debian's own Python on Debian's own files in place of the
image ``python:3.11-slim-bookworm``.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.controlplane import cache
from tests.controlplane.image import write
from tests.pods.machine import PYTHON, Unfit
from tests.upgrade.earlier import OPERATOR, PACKAGES, unpack

ROOT = Path(__file__).parents[2]
ENVIRONMENT = ROOT / "tools" / "image" / "environment.sh"
TARGET = "/opt/model-booster"
# libstdc++6: google-re2's wheel links it; python:3.11-slim-bookworm has it because apt needs it.
BASE_PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def build(name: str, archive: Path, image: str = "operator") -> None:
    """Builds an image and writes it to an archive that containerd imports.

    Args:
        name: name and tag of the image.
        archive: the file to write; a folder beside it holds what goes into the image.
        image: ``operator`` or ``downloader``.

    Raises:
        Unfit: a step failed; the text has what it printed.
    """
    parts = archive.with_suffix(".parts")
    target = TARGET if image == "operator" else f"/opt/{image}"
    shutil.copytree(_packages(image, target), parts, symlinks=True)
    _make_environment(parts, ENVIRONMENT, image, str(PYTHON), target, "code")
    settings = settings_of(ROOT / "Dockerfile", "" if image == "operator" else image)
    write(name, str(archive), settings, f"{_base()}=/", f"{parts}=/opt")


def _packages(image: str, target: str) -> Path:
    """Returns ``/opt`` of an image with the pinned packages only, which is kept in the cache."""
    lock = ROOT / ("requirements.txt" if image == "operator" else f"requirements-{image}.txt")
    version = subprocess.check_output([PYTHON, "--version"])
    digest = cache.digest([version, lock.read_bytes(), ENVIRONMENT.read_bytes()])

    def make(folder: Path) -> None:
        _make_environment(folder, ENVIRONMENT, image, str(PYTHON), target, "packages")

    return cache.entry(f"packages-{image}-{digest}", make)


def previous(name: str) -> Path:
    """Returns the archive of the image of the earlier version, which is kept in the cache.

    Raises:
        Unfit: it cannot be built.
    """
    digest = cache.digest(
        [name.encode(), _recipe(), OPERATOR.read_bytes(), ENVIRONMENT.read_bytes()]
    )

    def make(folder: Path) -> None:
        cache.say("building the image of the previous version")
        sources, parts = folder / "sources", folder / "parts"
        unpack(sources)
        script = sources / ENVIRONMENT.relative_to(ROOT)
        script.parent.mkdir(parents=True)
        shutil.copy(ENVIRONMENT, script)
        _make_environment(parts, script, "operator", str(PYTHON), TARGET, "packages")
        library = parts / Path(TARGET).name / "lib"
        for package in PACKAGES:
            shutil.copytree(sources / package, library / PYTHON.name / "site-packages" / package)
        _run(str(PYTHON), "-m", "compileall", "-q", str(library))
        settings = settings_of(ROOT / "Dockerfile")
        settings["Entrypoint"] = [f"{TARGET}/bin/python", "-m", "modelbooster"]
        write(name, str(folder / "image.tar"), settings, f"{_base()}=/", f"{parts}=/opt")
        shutil.rmtree(sources)
        shutil.rmtree(parts)

    return cache.entry(f"previous-{digest}", make) / "image.tar"


def _make_environment(parts: Path, script: Path, *arguments: str) -> None:
    """Makes an environment in ``parts``, which is ``/opt`` of the image.

    The scripts of an environment name its path, so it is made at the path that it has in the image,
    in a mount namespace of its own.
    """
    parts.mkdir(parents=True, exist_ok=True)
    inside = 'mount --bind "$1" /opt && shift && exec "$@"'
    namespace = ("unshare", "--mount", "--propagation", "private")
    _run(*namespace, "bash", "-euc", inside, "bash", str(parts), str(script), *arguments)


def settings_of(dockerfile: Path, stage: str = "") -> dict[str, object]:
    """Returns the ``config`` of the image that a stage of a Dockerfile makes.

    Args:
        dockerfile: the file.
        stage: name of the stage; the last one if empty.
    """
    text = dockerfile.read_text().replace("\\\n", " ")
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("FROM "):
            if lines and stage and lines[0].endswith(f" AS {stage}"):
                break
            lines = []
        lines.append(line)
    environment = {"PATH": SYSTEM_PATH}
    settings: dict[str, object] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "ENV":
            for entry in shlex.split(rest):
                key, _, value = entry.partition("=")
                environment[key] = value.replace("$PATH", environment["PATH"])
        elif word == "USER":
            settings["User"] = rest
        elif word in ("ENTRYPOINT", "CMD"):
            settings[word.capitalize()] = json.loads(rest)
    settings["Env"] = [f"{key}={value}" for key, value in environment.items()]
    return settings


def _base() -> Path:
    """Returns the root file system that images have besides an environment."""
    return cache.entry(f"base-{cache.digest([_recipe()])}", _make_base) / "root.tar"


def _recipe() -> bytes:
    return " ".join(BASE_PACKAGES).encode()


def _make_base(folder: Path) -> None:
    """Makes the root file system of a Debian that has Python and nothing else."""
    cache.say("fetching the packages of the image's base")
    include = f"--include={','.join(BASE_PACKAGES)}"
    _run("mmdebstrap", "--quiet", "--variant=extract", include, "bookworm", f"{folder}/root.tar")


def _run(*command: str) -> None:
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise Unfit(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}")
