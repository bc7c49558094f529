"""Why a download failed, in the words of the user, with the next step."""

from __future__ import annotations

import errno
import os
import re
import stat
from enum import StrEnum


class Reason(StrEnum):
    """The cause of a failure in one word; programs may rely on it."""

    ACCESS_DENIED = "AccessDenied"
    BAD_ENDPOINT = "BadEndpoint"
    BAD_SOURCE = "BadSource"
    CHANGED = "SourceChanged"
    CORRUPT = "Corrupt"
    EMPTY = "EmptySource"
    GATED = "Gated"
    INTERRUPTED = "Interrupted"
    NO_CREDENTIALS = "NoCredentials"
    NO_LIBRARY = "NoLibrary"
    NO_SPACE = "NoSpace"
    NO_TOKEN = "NoToken"  # noqa: S105 - a reason
    NOT_FOUND = "NotFound"
    NOT_WRITABLE = "NotWritable"
    NO_REVISION = "NoSuchRevision"
    QUOTA = "Quota"
    TLS = "TLS"
    TOO_LARGE = "TooLarge"
    UNREACHABLE = "Unreachable"
    UNSAFE = "UnsafePath"
    USAGE = "Usage"


PERMANENT = frozenset(
    {
        Reason.ACCESS_DENIED,
        Reason.BAD_ENDPOINT,
        Reason.BAD_SOURCE,
        Reason.EMPTY,
        Reason.GATED,
        Reason.NO_CREDENTIALS,
        Reason.NO_LIBRARY,
        Reason.NO_REVISION,
        Reason.NO_TOKEN,
        Reason.NOT_FOUND,
        Reason.NOT_WRITABLE,
        Reason.TLS,
        Reason.TOO_LARGE,
        Reason.UNSAFE,
        Reason.USAGE,
    }
)
"""Causes that another start of the same container does not remove."""


class DownloadError(Exception):
    """A failure that ends the program.

    Args:
        reason: its cause in one word.
        message: what happened, without secrets.
        step: what the user can do.
    """

    def __init__(self, reason: Reason, message: str, step: str = "") -> None:
        super().__init__(f"{message}; {step}" if step else message)
        self.reason = reason
        self.message = message
        self.step = step


class TransientError(Exception):
    """A request failed in a way that another try may cure.

    Args:
        message: what happened, without secrets.
        after: seconds that the server asked to wait; None if it did not say.
        final: the failure to report when no try is left.
    """

    def __init__(
        self, message: str, after: float | None = None, final: DownloadError | None = None
    ) -> None:
        super().__init__(message)
        self.after = after
        self.final = final


_QUERY = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]+")
_USER = re.compile(r"(https?://)[^\s/@'\"]+@")
_TOKENS = re.compile(r"\b(hf_[A-Za-z0-9]{8,}|ms-[0-9a-f-]{30,})")


def without_secrets(text: str) -> str:
    """Returns a text without queries (signatures), user names in URLs, and tokens."""
    text = _QUERY.sub(r"\1?…", _USER.sub(r"\1…@", text))
    return _TOKENS.sub("…", text)


def disk_error(exc: OSError, path: str) -> DownloadError:
    """Returns the failure for an error of the file system.

    Args:
        exc: the error.
        path: the folder that is written to.
    """
    if exc.errno == errno.ENOSPC:
        return DownloadError(
            Reason.NO_SPACE,
            f"the volume of {path} is full",
            "enlarge it, or remove old models (model-booster-downloader gc)",
        )
    if exc.errno == errno.EDQUOT:
        return DownloadError(
            Reason.QUOTA,
            f"the disk quota of {path} is used up",
            "raise the quota, or remove old models (model-booster-downloader gc)",
        )
    if exc.errno == errno.EROFS:
        return DownloadError(
            Reason.NOT_WRITABLE,
            f"cannot write to {exc.filename or path}: {exc.strerror}",
            "mount the volume writable, or use a model that is in it already in place (pvc://)",
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return _not_permitted(exc, str(exc.filename or path))
    return DownloadError(
        Reason.NOT_WRITABLE, f"{exc.filename or path}: {exc.strerror or exc}", "check the volume"
    )


def _not_permitted(exc: OSError, path: str) -> DownloadError:
    """Returns the failure for a folder that this user may not write to."""
    there = path
    while not os.path.exists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    user = os.geteuid()
    message, step = f"cannot write to {path}: {exc.strerror}", ""
    try:
        state = os.stat(there)
        owner = state.st_uid
        rights = f"mode {stat.S_IMODE(state.st_mode):04o}"
        message += f"; {there} belongs to user {owner} ({rights}), and this is user {user}"
        if owner != user:
            step = f", or set kthena.downloaderUser of the operator to {owner}"
            step += " (root)" if owner == 0 else ""
    except OSError:
        pass
    return DownloadError(Reason.NOT_WRITABLE, message, f"give the folder to user {user}{step}")


def missing_library(name: str) -> DownloadError:
    """Returns the failure for a client library that is not installed."""
    return DownloadError(
        Reason.NO_LIBRARY,
        f"the Python package {name} is not installed",
        "pip install 'model-booster[downloader]', or use the downloader's image",
    )
