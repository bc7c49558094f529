"""What of a container's options a pod has otherwise, or not at all, as notes for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelbooster.commandline.container import Container
from modelbooster.commandline.shell import shown

_SILENT = frozenset(
    """
    attach cidfile detach detach-keys entrypoint env-merge expose gpus health-cmd health-interval
    health-retries health-start-interval health-start-period health-timeout init interactive ipc
    label label-file log-driver log-opt name no-healthcheck pid pidfile platform publish pull
    quiet replace restart rm shm-size shm-size-systemd sig-proxy stop-signal stop-timeout tty
    publish-all timeout cpus memory memory-swap
    """.split()  # noqa: SIM905 - a list of one word a line hides the code
)
"""Options that a pod needs not, that have no effect on it, or that are carried."""

_NETWORK = frozenset({"network", "net", "network-alias", "net-alias", "ip", "ip6", "link"}) | {
    *("hostname", "dns", "dns-opt", "dns-option", "dns-search", "add-host", "mac-address", "uts")
}
_RIGHTS = frozenset(
    """
    cap-add cap-drop device device-cgroup-rule group-add privileged security-opt sysctl ulimit
    user userns uidmap gidmap cgroupns runtime
    """.split()  # noqa: SIM905
)
_CACHE = re.compile(r"\.cache(/|$)|huggingface|modelscope|hf[-_]?cache", re.ASCII)


def mounts_of(container: Container | None) -> dict[str, str]:
    """Returns the host paths, or names of volumes, by their paths in the container."""
    found: dict[str, str] = {}
    if container is None:
        return found
    for text in container.options.get("volume", ()):
        host, _, rest = text.partition(":")
        if rest:
            found[rest.partition(":")[0]] = host
    for text in container.options.get("mount", ()):
        parts = dict(part.partition("=")[::2] for part in text.split(","))
        target = parts.get("target") or parts.get("destination") or parts.get("dst")
        if target:
            found[target] = parts.get("source") or parts.get("src") or ""
    return found


def resource_limits(container: Container | None) -> dict[str, str]:
    """Returns limits of CPU and memory that the container has; docker counts in powers of 1024."""
    found: dict[str, str] = {}
    if container is None:
        return found
    if cpus := container.last("cpus"):
        found["cpu"] = cpus
    memory = re.fullmatch(r"(\d+)([bkmgBKMG]?)b?", container.last("memory") or "")
    if memory:
        unit = {"k": "Ki", "m": "Mi", "g": "Gi"}.get(memory[2].lower(), "")
        found["memory"] = f"{memory[1]}{unit}"
    return found


def notes_about(container: Container, client_name: str) -> Iterator[str]:
    """Yields what is left out of a container, with what does the same in a cluster.

    Args:
        container: the container.
        client_name: the model name that clients send.
    """
    options = container.options
    if "publish" in options or "publish-all" in options:
        ports = ", ".join(map(shown, options.get("publish", ()))) or "all ports"
        yield (
            f"ports ({ports}) are not published: clients reach kthena's router and send the "
            f'model name "{client_name}"'
        )
    for target, host in mounts_of(container).items():
        if _CACHE.search(target) or _CACHE.search(host):
            yield f"{shown(host)} is not mounted: --cache says where pods keep downloaded models"
        elif not target.startswith(("/usr/", "/etc/", "/dev/", "/sys/", "/var/run")):
            yield (
                f"{shown(host)} (as {shown(target)}) is not mounted: put what the engine needs "
                "of it into the image, or into the model's repository"
            )
    for names, reason in (
        (_NETWORK, "pods have addresses of their own"),
        (_RIGHTS, "the device plugin gives a pod its devices; pods run without further rights"),
    ):
        given = sorted(name for name in options if name in names and options[name] != ["nvidia"])
        if given:
            yield f"{', '.join(f'--{name}' for name in given)} left out: {reason}"
    known = {*_SILENT, *_NETWORK, *_RIGHTS, "volume", "mount"}
    for name in sorted(options.keys() - known):
        yield f"--{name} left out: a ModelBooster has no such setting"
