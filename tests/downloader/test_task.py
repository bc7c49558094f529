"""One file, several threads: its bytes are hashed in order, whoever writes them."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest

from downloader.sources.base import Listing, Reader, RemoteFile
from downloader.transfer import task as tasks
from downloader.transfer.task import FileTask, Segment

DATA = random.Random(5).randbytes(40_000)
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


class Named:
    """A source that only describes its file."""

    def listing(self) -> Listing:
        raise NotImplementedError

    def described(self, file: RemoteFile) -> RemoteFile:
        return file

    def open(self, file: RemoteFile, start: int, end: int) -> Reader:
        raise NotImplementedError


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileTask:
    monkeypatch.setattr(tasks, "SEGMENT", 1000)
    task = FileTask(0, RemoteFile("model.safetensors", len(DATA), DIGEST), str(tmp_path), {})
    task.begin(Named())
    return task


def fill(task: FileTask, segment: Segment, size: int = 300) -> None:
    while segment.next < segment.end:
        task.write(segment, DATA[segment.next : min(segment.next + size, segment.end)])


@pytest.mark.parametrize("seed", range(5))
def test_threads_that_write_at_random_give_the_hash_of_the_file(task: FileTask, seed: int) -> None:
    waiting = list(task.segments)
    random.Random(seed).shuffle(waiting)
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not waiting:
                    return
                segment = waiting.pop()
            fill(task, segment)
            task.catch_up()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert task.finish() == DIGEST
    assert Path(task.path).read_bytes() == DATA


def test_bytes_are_hashed_while_others_are_fetched(task: FileTask) -> None:
    first, second, third, *others = task.segments
    fill(task, second)
    task.write(third, DATA[2000:2600])
    task.catch_up()
    fill(task, first)
    task.catch_up()
    # What is written is changed on disk: who reads it only at the end gets another hash.
    with open(task.path, "r+b") as file:
        file.write(bytes(2600))
    fill(task, third)
    for segment in others:
        fill(task, segment)
    with open(task.path, "r+b") as file:
        file.write(bytes(len(DATA)))

    assert task.finish() == DIGEST
