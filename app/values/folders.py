"""Absolute paths of folders in a pod or on a node."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from functools import lru_cache


def absolute(path: str) -> str:
    """Returns a path in normalized form, from the root even if it does not begin there."""
    return posixpath.normpath("/" + path.strip("/"))


def host_folder(path: str) -> str:
    """Returns an absolute path in normalized form.

    Raises:
        ValueError: it is not absolute, or it has a ``..`` segment.
    """
    if not path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"{path!r} must be an absolute path without '..' segments")
    return absolute(path)


def is_below(path: str, folder: str) -> bool:
    """Returns whether a normalized path is a folder, or is in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def is_below_any(path: str, folders: Sequence[str]) -> bool:
    """Returns whether a normalized path is one of some folders, or is in one of them.

    Raises:
        ValueError: a folder is none, see ``host_folder``.
    """
    return f"{path}/".startswith(_beginnings(tuple(folders)))


@lru_cache(maxsize=16)  # the folders are a setting, so there are few sets of them
def _beginnings(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(host_folder(folder).rstrip("/") + "/" for folder in folders)
