"""What locks are worth on a file system."""

from __future__ import annotations

import os
import re

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "lustre", "9p", "virtiofs")
_LOCAL_LOCKS = re.compile(r"\b(nolock|local_lock=(all|flock)|nobrl|localflock)\b")
_ESCAPED = re.compile(r"\\([0-7]{3})")


def lock_warning(path: str, table: str | None = None) -> str:
    """Returns why a lock in a folder may not hold between nodes; ``""`` if it holds.

    Args:
        path: the folder.
        table: text of ``/proc/self/mountinfo``; None reads it.
    """
    kind, options = _mount(os.path.realpath(path), table)
    if kind.startswith("fuse"):
        return f"{path} is on {kind}: whether its locks hold between nodes depends on the driver"
    if kind in _NETWORK and (match := _LOCAL_LOCKS.search(options)):
        return f"{path} is on {kind} mounted with {match[0]}: its locks hold on this node only"
    if kind in ("9p", "virtiofs"):
        return f"{path} is on {kind}: its locks may hold on this node only"
    return ""


def _mount(path: str, table: str | None) -> tuple[str, str]:
    """Returns the type and the options of the file system that a path is on."""
    if table is None:
        try:
            with open("/proc/self/mountinfo") as file:
                table = file.read()
        except OSError:
            return "", ""
    best, found = "", ("", "")
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields, after = left.split(), right.split()
        if len(fields) < 6 or len(after) < 2:
            continue
        point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[4])
        is_above = path == point or path.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= len(best):
            best, found = point, (after[0], ",".join([fields[5], *after[2:]]))
    return found
