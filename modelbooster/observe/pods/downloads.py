"""Reads the log of a downloader: how far it is, and why it failed.

Ours prints JSON (``progress.py``), and its failure is in the status of the pod. Kthena's prints the
progress bars of its clients: tqdm of huggingface_hub and modelscope, ``aws s3 sync`` and ``rsync
--progress``. A bar is rewritten after a carriage return, which the log of a container keeps. Its
last words after a failure are ``An error occurred: TEXT``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelbooster.observe.explanation import Explanation
from modelbooster.observe.pods.progress import Progress, logged_progress, size_text

_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}

_FILES = re.compile(r"Fetching \d+ files?: +\d+%\|[^|]*\| *(\d+)/(\d+)")
_FILE = re.compile(
    r"^(?P<name>\S.*?): +\d+%\|[^|]*\| *(?P<done>[\d.]+)(?P<unit>[kKMGT]?)B?/"
    r"(?P<all>[\d.]+)(?P<all_unit>[kKMGT]?)B? \[[^,\]]*(?:, *(?P<rate>[\d.]+[kKMGT]?B/s))?"
)
_S3 = re.compile(
    r"Completed (?P<done>[\d.]+) (?P<unit>[KMGT]?)i?B(?:ytes)?/~?(?P<all>[\d.]+) "
    r"(?P<all_unit>[KMGT]?)i?B(?:ytes)? \((?P<rate>[\d.]+ \w+/s)\)"
)
_RSYNC = re.compile(
    r"^ *(?P<done>[\d,]+) +(?P<percent>\d+)% +(?P<rate>[\d.]+\w?B/s)"
    r"(?:.*to-ch(?:ec)?k=(?P<left>\d+)/(?P<files>\d+))?"
)


def progress_in(log: str) -> Progress | None:
    """Returns how far a download is; None if the log has no progress."""
    if own := logged_progress(log):
        return own
    files: tuple[int, int] | None = None
    sizes: dict[str, tuple[float, float]] = {}
    rate, latest = "", None
    for line in _lines(log):
        if match := _FILES.search(line):
            files = (int(match[1]), int(match[2]))
        elif match := _S3.search(line):
            done, whole = (
                _binary(match["done"], match["unit"]),
                _binary(match["all"], match["all_unit"]),
            )
            latest = _of_bytes(done, whole, match["rate"])
        elif match := _RSYNC.search(line):
            latest = _of_rsync(match)
        elif match := _FILE.search(line):
            sizes[match["name"]] = (
                float(match["done"]) * _UNITS[match["unit"]],
                float(match["all"]) * _UNITS[match["all_unit"]],
            )
            rate = match["rate"] or rate
    if files is not None:
        return _of_files(files, sizes, rate)
    if sizes:
        done, whole = (sum(pair[at] for pair in sizes.values()) for at in (0, 1))
        return _of_bytes(done, whole, rate)
    return latest


def _lines(log: str) -> Iterator[str]:
    for line in re.split(r"[\r\n]+", log):
        # tqdm moves the cursor between the bars of several files.
        if text := re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line).rstrip():
            yield text


def _of_files(files: tuple[int, int], sizes: dict[str, tuple[float, float]], rate: str) -> Progress:
    ready, whole = files
    running = [done / size for done, size in sizes.values() if size and done < size]
    done = min((ready + sum(running)) / whole, 1.0) if whole else 1.0
    size = sum(done for done, _ in sizes.values())
    parts = [f"{ready}/{whole} files", f"{size_text(size)}" if size else "", rate]
    return Progress(done, ", ".join(filter(None, parts)))


def _of_bytes(done: float, whole: float, rate: str) -> Progress:
    text = f"{size_text(done)} of {size_text(whole)}"
    return Progress(min(done / whole, 1.0) if whole else 1.0, f"{text}, {rate}" if rate else text)


def _of_rsync(match: re.Match[str]) -> Progress:
    done = int(match["percent"]) / 100
    if match["files"] and int(match["files"]):
        done = 1 - int(match["left"]) / int(match["files"])
    size = size_text(int(match["done"].replace(",", "")))
    return Progress(done, f"{size}, {match['rate']}")


def _binary(number: str, unit: str) -> float:
    return float(number) * _BINARY.get(unit, 1)


_TOKEN = "give a token of that account as HF_AUTH_TOKEN in env, or in a Secret of envFrom"  # noqa: S105  # advice
_NETWORK = (
    "check DNS, proxy and egress rules of the pod; HF_ENDPOINT in env chooses a mirror of the hub"
)

_REFUSALS: tuple[tuple[str, str, str], ...] = (
    # Its text speaks of gated repositories too, so it comes first.
    (
        r"(?P<code>40[14]) Client Error(?s:.)*Repository Not Found|RepositoryNotFoundError",
        "the hub has no repository {repository} that this token may see ({code})",
        "check the spelling of modelURI; for a private repository " + _TOKEN,
    ),
    (
        r"(?P<code>40[13]) Client Error(?s:.)*(?:gated repo|Access to model \S+ is restricted)",
        "the model is gated and the hub refused the download ({code})",
        "accept its licence at https://huggingface.co/{repository} and " + _TOKEN,
    ),
    (
        r"Cannot access gated repo|GatedRepoError|is restricted",
        "the model is gated and the hub refused the download",
        "accept its licence at https://huggingface.co/{repository} and " + _TOKEN,
    ),
    (
        r"Invalid (?:user token|username or password|credentials)|token seems invalid",
        "the hub does not know the token (401)",
        "create a new token, and put it into HF_AUTH_TOKEN",
    ),
    (
        r"Revision Not Found|RevisionNotFoundError|Invalid rev id",
        "the repository {repository} has no such revision",
        "correct HF_REVISION",
    ),
    (
        r"No space left on device|Errno 28\b|Not enough free disk space",
        "there is no space left for the model",
        "use a larger volume in cacheURI, or delete old models from it",
    ),
    (
        r"Disk quota exceeded|Errno 122\b",
        "the quota of the cache volume is used up",
        "raise the quota, or delete old models from the volume of cacheURI",
    ),
    (
        r"Permission denied|Errno 13\b|Read-only file system",
        "the downloader may not write to the cache",
        "make the volume of cacheURI writable for the user of the downloader",
    ),
    (
        r"Missing credentials",
        "the keys of the object storage are missing",
        "set ACCESS_KEY and SECRET_KEY in env, or in a Secret of envFrom",
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|\(403\)|Forbidden",
        "the source refused the download (403)",
        "check the keys or the token in env and envFrom, and what they may read",
    ),
    (
        r"NoSuchBucket|NoSuchKey|404 Client Error|\(404\)|Entry Not Found",
        "the source does not exist (404)",
        "correct modelURI",
    ),
    (
        r"401 Client Error|Unauthorized",
        "the source refused the download (401)",
        _TOKEN,
    ),
    (
        r"429 Client Error|Too Many Requests",
        "the hub limits the rate of this address (429)",
        "wait; a token in HF_AUTH_TOKEN has a higher limit, and a cache volume avoids downloads",
    ),
    (
        r"Name or service not known|name resolution|Failed to resolve|getaddrinfo",
        "the name of the source cannot be resolved",
        _NETWORK,
    ),
    (
        r"Connection refused|Network is unreachable|Max retries exceeded|timed out|"
        r"Could not connect|Connection reset|cannot find the appropriate snapshot",
        "the source cannot be reached",
        _NETWORK,
    ),
    (
        r"not visible to the downloader|does not exist|is not a directory",
        "the path of the source does not exist in the pod",
        "mount its claim with cacheURI, and begin the path of modelURI with that claim",
    ),
)
"""Texts of a failed download, with cause and remedy; the first that matches counts."""


def refusal_in(log: str, source: str) -> Explanation | None:
    """Returns why a download failed; None if the log does not tell.

    Args:
        log: the last lines of the downloader.
        source: what it fetches, such as ``hf://owner/repository``.
    """
    repository = source.partition("://")[2] or source
    for pattern, why, todo in _REFUSALS:
        if match := re.search(pattern, log):
            code = match.groupdict().get("code") or "404"
            return Explanation(
                why.format(code=code, repository=repository),
                todo.format(repository=repository),
            )
    return None


def last_error(log: str) -> str:
    """Returns the last words of a downloader, one line; ``""`` if it said nothing."""
    lines = [*_lines(log)]
    for line in reversed(lines):
        if "An error occurred:" in line:
            return line.partition("An error occurred:")[2].strip()
    return lines[-1] if lines else ""
