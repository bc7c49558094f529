"""Keeps folders equal to Secrets, as a kubelet does for the volumes of pods."""

from __future__ import annotations

import os
import shutil
from base64 import b64decode
from http import HTTPStatus
from pathlib import Path

from app.values.meta import Object
from tests.controlplane.api import Api, Refused


class SecretVolume:
    """One Secret in a folder: files are links into the folder of the version, replaced as a whole.

    Args:
        api: the administrator's connection.
        path: of the Secret.
        folder: where its files go.
    """

    def __init__(self, api: Api, path: str, folder: Path) -> None:
        self._api = api
        self._path = path
        self.folder = folder
        self._version = ""
        folder.mkdir(parents=True, exist_ok=True)

    def refresh(self) -> bool:
        """Writes the Secret as it is now; returns whether there has ever been one."""
        try:
            secret = self._api.request("GET", self._path)
        except Refused as exc:
            if exc.status != HTTPStatus.NOT_FOUND:
                raise
            return bool(self._version)
        version = f"..{secret['metadata']['resourceVersion']}"
        if version != self._version:
            self._write(version, secret.get("data") or {})
        return True

    def _write(self, version: str, data: dict[str, str]) -> None:
        new = self.folder / version
        new.mkdir(exist_ok=True)
        for name, value in data.items():
            (new / name).write_bytes(b64decode(value))
        link = self.folder / "..data_tmp"
        link.symlink_to(version)
        os.replace(link, self.folder / "..data")
        for name in data:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        if self._version:
            shutil.rmtree(self.folder / self._version)
        self._version = version


def secret_volumes(pod: Object) -> dict[str, str]:
    """Returns the Secrets that a pod mounts: path in the container -> name of the Secret."""
    secrets = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in pod["spec"].get("volumes", ())
        if "secret" in volume
    }
    mounts = pod["spec"]["containers"][0].get("volumeMounts", ())
    return {m["mountPath"]: secrets[m["name"]] for m in mounts if m["name"] in secrets}
