"""Runs a process with its own files under /var/run, as a pod has them."""

from __future__ import annotations

import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

RUN = "/var/run"
ACCOUNT = f"{RUN}/secrets/kubernetes.io/serviceaccount"
OWN_ROOT = ("unshare", "--user", "--map-root-user", "--mount")


def can_be_a_pod() -> bool:
    """Whether a process can have its own files under /var/run on this machine."""
    with suppress(OSError):
        return subprocess.run([*OWN_ROOT, "mount", "-t", "tmpfs", "none", RUN]).returncode == 0
    return False


def in_pod(command: list[str], ca_file: Path, token: str, namespace: str) -> list[str]:
    """Returns the command that runs another one with the files of a service account.

    Args:
        command: the other one.
        ca_file: certificate authority of the API server.
        token: of the service account.
        namespace: of the pod.
    """
    steps = (
        f"mount -t tmpfs none {RUN}",
        f"mkdir -p {ACCOUNT}",
        f"cp {shlex.quote(str(ca_file))} {ACCOUNT}/ca.crt",
        f"printf %s {token} > {ACCOUNT}/token",
        f"printf %s {namespace} > {ACCOUNT}/namespace",
        f"exec {shlex.join(command)}",
    )
    return [*OWN_ROOT, "sh", "-ec", " && ".join(steps)]
