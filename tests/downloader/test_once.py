"""Many processes, one download: the others wait, see its progress, and take over if it dies."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from downloader.errors import DownloadError
from downloader.once import turn
from downloader.once.mounts import lock_warning
from downloader.once.owner import Beat, Owner, read_beat, write_beat
from downloader.once.turn import Waiting
from downloader.paths import place_of
from downloader.progress.meter import Progress
from downloader.progress.output import Output
from tests.downloader.conftest import FILES, URI, Downloader, Here, contents
from tests.downloader.hub import Hub

PATIENCE_SECONDS = 60.0


def until(is_reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_reached():
        assert time.monotonic() < deadline, f"{what}: not reached"
        time.sleep(0.01)


@pytest.fixture
def started(downloader: Downloader, hub: Hub, cache: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(*args: str) -> subprocess.Popen[str]:
        return downloader.start("-s", URI, "-o", cache / "m", *args, env=hub.environment())

    return start


def test_processes_that_start_together_download_once(
    started: Callable[..., subprocess.Popen[str]], hub: Hub, cache: Path
) -> None:
    hub.faults.pause = 0.1
    processes = [started() for _ in range(3)]

    results = [process.communicate(timeout=100) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert contents(cache / "m") == FILES
    assert hub.sent == sum(map(len, FILES.values()))
    assert sum("nothing to fetch" in out for out, _ in results) == 2
    assert sum("waiting for" in err for _, err in results) == 2


def test_a_waiting_process_takes_over_from_one_that_was_killed(
    started: Callable[..., subprocess.Popen[str]], hub: Hub, cache: Path
) -> None:
    hub.faults.pause = 0.3
    first = started()
    until(lambda: hub.sent > 300_000, "the first one downloads")
    second = started("--progress", "json")
    until(lambda: bool((cache / ".model-booster/m/owner").exists()), "the record of the first")
    assert second.stdout is not None
    waiting = json.loads(second.stdout.readline())
    assert waiting["type"] in ("note", "progress")

    first.send_signal(signal.SIGKILL)
    first.communicate()
    hub.faults.pause = 0.0

    out, _ = second.communicate(timeout=100)
    assert second.returncode == 0
    result = json.loads(out.splitlines()[-1])
    assert result["type"] == "whole"
    # What the first one has fetched counts, up to what its journal had not recorded yet.
    assert 0 < result["bytesFetched"] < sum(map(len, FILES.values()))
    assert contents(cache / "m") == FILES


def test_a_process_that_is_told_to_end_says_so_and_frees_the_lock(
    started: Callable[..., subprocess.Popen[str]], hub: Hub, here: Here, tmp_path: Path
) -> None:
    hub.faults.pause = 0.3
    process = started()
    until(lambda: hub.sent > 0, "it downloads")

    process.terminate()
    _, err = process.communicate(timeout=60)

    assert process.returncode == 143
    assert "ended by SIGTERM; the next start goes on from here" in err
    assert json.loads((tmp_path / "termination-log").read_text())["reason"] == "Interrupted"
    hub.faults.pause = 0.0
    assert contents(here()) == FILES


OTHER_NODE = Owner(key="other", host="pod-on-node-2", boot="another-kernel")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "DEAD_SECONDS", 0.5)
    monkeypatch.setattr(turn, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(turn, "_POLL_SECONDS", 0.01)


@pytest.mark.usefixtures("impatient")
def test_an_owner_on_another_node_is_waited_for_while_it_is_alive(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What happens on a volume whose locks do not reach other nodes."""
    place = place_of(str(cache / "m"))
    os.makedirs(place.work)
    owner = f"{place.work}/owner"
    write_beat(owner, Beat(OTHER_NODE, 1, Progress(10**9, 4 * 10**9, 10**8, 30)))
    alive = threading.Event()
    alive.set()

    def beat() -> None:
        count = 1
        while alive.is_set():
            count += 1
            write_beat(owner, Beat(OTHER_NODE, count))
            time.sleep(0.02)

    other = threading.Thread(target=beat)
    other.start()
    waiting = Waiting(place, Output(URI, is_json=False), lambda: False)
    got: list[object] = []
    waiter = threading.Thread(target=lambda: got.append(waiting.turn()))
    waiter.start()
    waiter.join(1.5)  # three times as long as a dead one is waited for
    assert waiter.is_alive()

    alive.clear()
    other.join()
    waiter.join(PATIENCE_SECONDS)

    [mine] = got
    assert isinstance(mine, turn.Turn)
    with mine:
        assert mine.is_ours()
    assert "pod-on-node-2" in capsys.readouterr().err
    assert read_beat(owner) is None


@pytest.mark.usefixtures("impatient")
def test_an_owner_that_finds_a_foreign_heartbeat_steps_back(
    here: Here, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults.pause = 0.2
    work = here.cache / ".model-booster/m"

    def take_over() -> None:
        until(lambda: hub.sent > 0, "the download runs")
        for count in range(20):  # as one that is alive; a single beat may be overwritten
            write_beat(f"{work}/owner", Beat(OTHER_NODE, count))
            time.sleep(0.02)
        hub.faults.pause = 0.0

    other = threading.Thread(target=take_over)
    other.start()
    folder = here()
    other.join()

    assert "another process took over; waiting for it" in capsys.readouterr().err
    assert contents(folder) == FILES


def mounted(kind: str, options: str) -> str:
    return (
        "1 1 8:1 / / rw - ext4 /dev/sda rw\n"
        f"2 1 0:9 / /models/shared rw,relatime - {kind} server:/x {options}\n"
    )


@pytest.mark.parametrize(
    ("kind", "options", "want"),
    [
        ("nfs4", "rw,vers=4.2,local_lock=none", ""),
        ("nfs", "rw,vers=3,local_lock=flock", "its locks hold on this node only"),
        ("nfs", "rw,vers=3,nolock", "its locks hold on this node only"),
        ("ceph", "rw", ""),
        ("fuse.s3fs", "rw", "depends on the driver"),
        ("virtiofs", "rw", "may hold on this node only"),
    ],
)
def test_a_mount_tells_what_its_locks_are_worth(kind: str, options: str, want: str) -> None:
    table = mounted(kind, options)
    warning = lock_warning("/models/shared/m", table)
    assert (want in warning) if want else not warning
    assert not lock_warning("/models/other", table)


def test_a_whole_model_needs_no_working_folder(here: Here) -> None:
    """A claim that is mounted read-only: nothing can be written beside the model."""
    folder = here()
    work = here.cache / ".model-booster"
    shutil.rmtree(work)
    work.write_text("no folder can be made here, not even by root")

    assert here() == folder


def test_a_whole_folder_of_another_user_is_used_as_it_is(
    here: Here, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another downloader has filled it, without a manifest, and nothing can be written there."""
    folder = here.cache / "m"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    (here.cache / ".model-booster").write_text("no folder can be made here, not even by root")

    assert here() == folder
    assert hub.sent == 0
    assert "every start checks all files again" in capsys.readouterr().err

    (folder / "config.json").write_bytes(FILES["config.json"][::-1])
    with pytest.raises(DownloadError, match="Not a directory"):
        here()
    (folder / "config.json").unlink()
    with pytest.raises(DownloadError, match="Not a directory"):
        here()


def test_a_folder_is_filled_where_its_parent_is_not_writable(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a folder of a node, whose cache belongs to root."""
    folder = here.cache / "m"
    folder.mkdir()
    before = folder.stat().st_ino
    may = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: path != str(here.cache) and may(path, mode)
    )

    assert here() == folder
    assert contents(folder) == FILES
    assert folder.stat().st_ino == before
    assert here() == folder


def test_a_cache_that_cannot_be_written_is_named(here: Here) -> None:
    work = here.cache / ".model-booster"
    work.write_text("no folder can be made here, not even by root")

    with pytest.raises(DownloadError) as failed:
        here()

    assert failed.value.reason == "NotWritable"
    assert str(work) in failed.value.message
