"""What a download has already: a file that survives the end of the process at any byte.

The first line names the listing and the boot of the node. Then there is a line for each step:
``p FILE SEGMENT NEXT``, the bytes of a segment up to NEXT are written; ``d JSON``, a file is
complete, verified and durable. The journal runs behind the data, never ahead of it, unless the
node crashes: data that was not yet on disk is then lost. So after another boot, only complete files
and files with a hash count.
"""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import dataclass, field

from downloader.sources.base import Listing, RemoteFile

_STEP = re.compile(rb"p (\d{1,9}) (\d{1,9}) (\d{1,18})\n")


@dataclass
class Known:
    """What an earlier run has left.

    Args:
        steps: by number of the file and of the segment, the first byte that is missing.
        complete: verified files by path.
        is_same: whether it was of the same listing.
        is_other_boot: whether the node was started again since.
    """

    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    complete: dict[str, RemoteFile] = field(default_factory=dict)
    is_same: bool = False
    is_other_boot: bool = False


def boot_id() -> str:
    """Returns what distinguishes a run of the kernel from others; all pods of a node share it."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def read_journal(path: str, listing: Listing) -> Known:
    """Returns what is left of an earlier run; only complete files if it was of another listing."""
    known = Known()
    try:
        with open(path, "rb") as file:
            header = json.loads(file.readline())
            known.is_same = header["key"] == listing.key
            known.is_other_boot = header["boot"] != boot_id()
            for line in file:
                if known.is_same and (match := _STEP.fullmatch(line)):
                    number, segment, position = map(int, match.groups())
                    known.steps[number, segment] = position
                elif line.startswith(b"d ") and line.endswith(b"\n"):
                    done = RemoteFile(**json.loads(line[2:]))
                    known.complete[done.path] = done
                elif line.startswith(b"r ") and line.endswith(b"\n"):
                    number = int(line[2:])
                    known.steps = {k: v for k, v in known.steps.items() if k[0] != number}
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no journal, or one that was torn: what it tells so far is true
    return known


class Journal:
    """The journal of this run.

    Args:
        path: its file.
        listing: what is downloaded.
        known: what to begin with.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: str, listing: Listing, known: Known) -> None:
        self._lock = threading.Lock()
        new = f"{path}.new"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
        self._descriptor = os.open(new, flags, 0o644)
        self._write(json.dumps({"key": listing.key, "boot": boot_id()}).encode() + b"\n")
        for file in known.complete.values():
            self.completed(file)
        for (number, segment), position in known.steps.items():
            self.step(number, segment, position)
        os.rename(new, path)

    def _write(self, line: bytes) -> None:
        with self._lock:
            os.write(self._descriptor, line)

    def step(self, number: int, segment: int, position: int) -> None:
        """Records that a segment is written up to a position."""
        self._write(b"p %d %d %d\n" % (number, segment, position))

    def restarted(self, number: int) -> None:
        """Records that nothing of a file counts any more."""
        self._write(b"r %d\n" % number)

    def completed(self, file: RemoteFile) -> None:
        """Records that a file is verified and durable, with its hash."""
        data = {"path": file.path, "size": file.size, "digest": file.digest}
        self._write(b"d " + json.dumps(data).encode() + b"\n")

    def close(self) -> None:
        """Ends the journal; its file stays."""
        os.close(self._descriptor)
