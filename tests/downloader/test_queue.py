"""Helpers fetch segments of files that others have begun, where that brings more bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from downloader.sources.base import RemoteFile
from downloader.transfer import task as tasks
from downloader.transfer.queue import Queue
from downloader.transfer.task import FileTask, Segment

SEGMENT, SEGMENTS = 1000, 5


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[FileTask]:
    monkeypatch.setattr(tasks, "SEGMENT", SEGMENT)
    size = SEGMENT * SEGMENTS
    return [FileTask(n, RemoteFile(f"{n}", size), str(tmp_path), {}) for n in range(2)]


def taken(queue: Queue, own: FileTask | None = None) -> tuple[FileTask, Segment]:
    found = queue.take(own)
    assert found is not None
    return found


def read(segment: Segment, part: float) -> None:
    """Notes 20 reads, each of which got this part of the bytes that it asked for."""
    for _ in range(20):
        segment.has_read(int(part * 1000), 1000)


def test_helpers_wait_while_the_processors_are_the_limit(files: list[FileTask]) -> None:
    queue = Queue(files, processors=2)
    first, one = taken(queue)
    second, other = taken(queue)
    assert {first, second} == set(files)
    for part in (1.0, 0.7):
        read(one, part)
        read(other, part)
        assert queue.take(None) is None
        assert not queue.is_empty


def test_helpers_fetch_while_the_network_is_the_limit(files: list[FileTask]) -> None:
    queue = Queue(files, processors=2)
    (first, one), (second, other) = taken(queue), taken(queue)
    read(one, 0.1)
    read(other, 0.1)
    helped, segment = taken(queue)
    assert (helped, segment.number) == (first, 1)
    read(segment, 0.1)
    assert taken(queue)[0] is second


def test_helpers_fetch_while_there_are_idle_processors(files: list[FileTask]) -> None:
    queue = Queue(files, processors=4)
    found = [taken(queue)[0] for _ in range(4)]
    assert [found.count(file) for file in files] == [2, 2]
    assert queue.take(None) is None


def test_a_helper_leaves_when_the_processors_become_the_limit(files: list[FileTask]) -> None:
    queue = Queue(files, processors=2)
    (first, one), (_, other) = taken(queue), taken(queue)
    read(one, 0.1)
    read(other, 0.1)
    helped, segment = taken(queue)
    assert helped is first
    read(one, 1.0)
    read(other, 1.0)
    assert not queue.release(first, segment)
    assert queue.take(first) is None
    assert not queue.release(first, one)
    assert taken(queue, first)[1].number == 2


def test_a_thread_keeps_its_file_and_fetches_it_in_order(files: list[FileTask]) -> None:
    queue = Queue(files, processors=1)
    order, ended = [], []
    own: FileTask | None = None
    while found := queue.take(own):
        own, segment = found
        order.append((own.number, segment.number))
        if queue.release(own, segment):
            ended.append(own.number)
    assert order == [(file, number) for file in range(2) for number in range(SEGMENTS)]
    assert ended == [0, 1]
    assert queue.is_empty
