"""Which pods have started with a model, so that ``gc`` does not remove what they use."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from downloader.paths import Place

_MAX_BYTES = 64 << 10
_KEPT_LINES = 200
_ENDED = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Use:
    """A start with a model.

    Args:
        pod: name of the pod.
        time: when, in seconds since 1970.
    """

    pod: str
    time: float


def record_use(place: Place) -> None:
    """Records that this pod starts with the model; not if the volume is read-only."""
    path = f"{place.work}/uses"
    line = json.dumps({"pod": socket.gethostname(), "time": int(time.time())}) + "\n"
    try:
        os.makedirs(place.work, exist_ok=True)
        if os.path.exists(path) and os.path.getsize(path) > _MAX_BYTES:
            with open(path) as file:
                kept = file.readlines()[-_KEPT_LINES:]
            with open(f"{path}.new", "w") as file:
                file.writelines(kept)
            os.replace(f"{path}.new", path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    except OSError:
        return


def uses_of(work: str) -> list[Use]:
    """Returns the starts that are recorded in the working folder of a model."""
    found = []
    try:
        with open(f"{work}/uses") as file:
            for line in file:
                try:
                    data = json.loads(line)
                    found.append(Use(str(data["pod"]), float(data["time"])))
                except (ValueError, KeyError, TypeError):
                    continue
    except OSError:
        pass
    return found


@dataclass(frozen=True)
class Pods:
    """Pods of a cluster that may use models.

    Args:
        names: their names.
        folders: names of the folders that their downloaders were told to fill.
    """

    names: frozenset[str]
    folders: frozenset[str]


def pods_of(data: Mapping[str, Any]) -> Pods:
    """Returns the pods that have not ended, of a list in the form of ``kubectl get pods -o json``.

    Raises:
        KeyError, TypeError, AttributeError: it has another form.
    """
    names, folders = set(), set()
    for pod in data["items"]:
        if pod.get("status", {}).get("phase") in _ENDED:
            continue
        names.add(pod["metadata"]["name"])
        for container in pod["spec"].get("initContainers", []):
            args = [*container.get("command", []), *container.get("args", [])]
            for flag, value in zip_longest(args, args[1:], fillvalue=""):
                if flag in ("--output-dir", "-o"):
                    folders.add(value.rstrip("/").rpartition("/")[2])
                elif flag.startswith("--output-dir="):
                    folders.add(flag.rstrip("/").rpartition("/")[2])
    return Pods(frozenset(names), frozenset(folders))
