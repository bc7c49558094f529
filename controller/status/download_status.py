"""What the status of a ModelBooster says of its downloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.values.meta import Object, key_of
from controller.status.downloads import DOWNLOADING, FAILED, WAITING, PodDownload


def backend_download(records: Iterable[Object]) -> Object | None:
    """Returns ``backendStatuses[].download``; None if no pod of the backend downloads.

    It is about one pod: one that has failed, else the slowest of those that tell their progress. A
    pod that waits for another one shows the progress of that one, so it counts only if no other
    downloads.

    Args:
        records: the records of the pods of the backend.
    """
    found = [(each["download"], key_of(each).name) for each in records if each["download"]]
    if not found:
        return None
    download, pod = min(found, key=_rank)
    entry: Object = {
        "phase": download.phase,
        "pod": pod,
        "pods": len(found),
        "source": download.source,
    }
    if download.phase == FAILED:
        entry["reason"] = download.failure.reason
        entry["message"] = str(download.failure)
    elif progress := download.progress:
        entry |= {
            "bytesDone": progress.done,
            "bytesTotal": progress.total,
            "bytesPerSecond": progress.rate,
            "secondsLeft": progress.seconds_left,
            "file": progress.file,
        }
    return {key: value for key, value in entry.items() if value not in ("", None)}


def _rank(found: tuple[PodDownload, str]) -> tuple[int, bool, float, str]:
    download, pod = found
    order = (FAILED, DOWNLOADING, WAITING).index(download.phase)
    progress = download.progress
    return order, progress is None, progress.fraction if progress else 0.0, pod


def failure_text(name: str, download: Object | None) -> str:
    """Returns a sentence about the failed download of a backend; ``""`` if it has not failed.

    Only our downloader says why in a few words; those of another one stay in the message of the
    backend.

    Args:
        name: name of the backend.
        download: its entry in the status.
    """
    if not download or not download.get("reason"):
        return ""
    return f"backend {name} could not fetch {download.get('source')}: {download.get('message')}"


def new_failures(before: Object, after: Object) -> Iterator[str]:
    """Yields a sentence for each backend whose download has failed since the stored status.

    Args:
        before: the stored status.
        after: the status that replaces it.
    """
    told = set(_failures(before))
    yield from (text for text in _failures(after) if text not in told)


def _failures(status: Object) -> Iterator[str]:
    for entry in status.get("backendStatuses") or ():
        if text := failure_text(str(entry.get("name")), entry.get("download")):
            yield text
