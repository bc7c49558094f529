"""What a machine needs so that real pods can run on it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

PACKAGES = {
    "curl": "curl",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "mount": "mount",
    "nsenter": "util-linux",
    "openssl": "openssl",
    "pgrep": "procps",
    "strip": "binutils",
    "unshare": "util-linux",
}
"""Debian's package of each program that is called."""

PYTHON = Path("/usr/bin/python3.11")
"""Debian's own Python. The image has it at the same path, because its environment is made here."""


class Unfit(Exception):
    """Real pods cannot run on this machine; the message says why and what to do."""


def packages() -> list[str]:
    """Returns Debian's packages that are missing."""
    missing = {package for program, package in PACKAGES.items() if shutil.which(program) is None}
    has_venv = PYTHON.exists() and not subprocess.call(
        [PYTHON, "-c", "import ensurepip, venv"], stderr=subprocess.DEVNULL
    )
    return sorted(missing if has_venv else missing | {"python3.11", "python3.11-venv"})


def check() -> None:
    """Checks this machine.

    Raises:
        Unfit: something is missing; all of it is named.
    """
    faults = []
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        faults.append(f"it is {platform.system()} {platform.machine()}, not Linux x86_64")
    if os.geteuid():
        faults.append("you are not root, who may make namespaces, mounts and cgroups")
    release = _release()
    if release != "debian 12":
        faults.append(f"it is {release or 'no Debian'}; containerd and the image are Debian 12's")
    if missing := packages():
        faults.append(f"packages are missing: apt-get install {' '.join(missing)}")
    if not faults and (refused := _namespaces_fault()):
        faults.append(f"namespaces and mounts are refused (an unprivileged container?): {refused}")
    if faults:
        raise Unfit("real pods cannot run on this machine:\n  " + "\n  ".join(faults))


def _release() -> str:
    """Returns distribution and version, for example ``debian 12``."""
    try:
        fields = platform.freedesktop_os_release()
    except OSError:
        return ""
    return f"{fields.get('ID', '')} {fields.get('VERSION_ID', '')}".strip()


def _namespaces_fault() -> str:
    """Returns why the cluster's namespaces cannot be made, "" if they can."""
    tried = (
        "mount -t tmpfs none /run && ip link add node0 type bridge && ip link add pod0 type veth"
        " peer name pod1 && cgroup=$(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1)"
        ' && mkdir "${cgroup%/*}/pods-check" && rmdir "${cgroup%/*}/pods-check"'
    )
    namespaces = ("--net", "--mount", "--pid", "--fork", "--mount-proc")
    done = subprocess.run(
        ["unshare", *namespaces, "bash", "-euc", tried], text=True, capture_output=True, check=False
    )
    return done.stderr.strip() if done.returncode else ""
