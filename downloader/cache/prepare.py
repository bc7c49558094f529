"""Hands the folders of models over to the user that downloads: ``prepare``.

The kubelet makes the folder of a ``hostPath`` volume for root, and kthena's downloader filled the
folders in it as root. So a container that runs as root, with the capabilities CHOWN and
DAC_OVERRIDE, makes the two folders of each model before the downloads start, and gives them and
what is in them to another user. It reads no remote data and no credentials. The cache itself and
folders of other models stay as they are.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from downloader.paths import WORK

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not block the open


def prepare(targets: Iterable[str], user: int) -> None:
    """Makes the folders of downloads, and gives them to a user and the group of the same id.

    What cannot be done is only printed: the download may be able to write all the same, and if not,
    it says what to do.

    Args:
        targets: ``--output-dir`` of each download.
        user: the id.
    """
    for target in targets:
        parent, name = os.path.split(os.path.abspath(target))
        try:
            os.makedirs(parent, exist_ok=True)
            with _opened(os.path.realpath(parent)) as cache:
                with _made(WORK, cache) as work, _made(name, work) as folder:
                    _hand_over(folder, user)
                with _made(name, cache) as folder:
                    _hand_over(folder, user)
        except OSError as exc:
            print(
                f"cannot prepare {target} for user {user}: {exc.filename or name}: {exc.strerror}",
                file=sys.stderr,
            )


@contextmanager
def _opened(path: str, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, _FOLDER, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _made(name: str, parent: int) -> Iterator[int]:
    """Opens a folder in a folder, which is made if it is missing; a link is refused."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)
    with _opened(name, parent) as descriptor:
        yield descriptor


def _hand_over(folder: int, user: int) -> None:
    """Gives a folder, and the folders and files below it, to a user.

    Whoever may write there could exchange a name for a link between two calls. So each file is
    opened first, without following links, and what is then changed is the open file. A file with
    several names may belong to somebody else, and stays as it is.
    """
    for _, _, names, descriptor in os.fwalk(".", dir_fd=folder, follow_symlinks=False):
        _give(descriptor, user)
        for name in names:
            if not stat.S_ISREG(os.lstat(name, dir_fd=descriptor).st_mode):
                continue
            file = os.open(name, _FILE, dir_fd=descriptor)
            try:
                state = os.fstat(file)
                if stat.S_ISREG(state.st_mode) and state.st_nlink == 1:
                    _give(file, user)
            finally:
                os.close(file)


def _give(descriptor: int, user: int) -> None:
    state = os.fstat(descriptor)
    if (state.st_uid, state.st_gid) != (user, user):
        os.fchown(descriptor, user, user)
