"""Reads ``docker run`` and its likes: podman, nerdctl.

Options: https://docs.docker.com/reference/cli/docker/container/run/ and the manual of podman-run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from app.errors import UsageError
from modelbooster.commandline.shell import Command, shown

PROGRAMS = ("docker", "podman", "nerdctl")

_SHORT = {
    "e": "env",
    "v": "volume",
    "p": "publish",
    "u": "user",
    "w": "workdir",
    "m": "memory",
    "h": "hostname",
    "l": "label",
    "a": "attach",
    "c": "cpu-shares",
    "d": "detach",
    "i": "interactive",
    "t": "tty",
    "q": "quiet",
    "P": "publish-all",
}

_SWITCHES = frozenset(
    """
    detach disable-content-trust init interactive no-healthcheck oom-kill-disable privileged
    publish-all quiet read-only replace rm rmi sig-proxy tls-verify tty env-host no-hosts
    no-hostname passwd read-only-tmpfs
    """.split()  # noqa: SIM905 - a list of one word a line hides the code
)
"""Options without a value; ``--init=true`` is possible as well."""

_VALUES = frozenset(
    """
    add-host annotation arch attach authfile blkio-weight cap-add cap-drop cgroup-conf
    cgroup-parent cgroupns cgroups cidfile cpu-period cpu-quota cpu-rt-period cpu-rt-runtime
    cpu-shares cpus cpuset-cpus cpuset-mems detach-keys device device-cgroup-rule
    device-read-bps device-read-iops device-write-bps device-write-iops dns dns-opt dns-option
    dns-search domainname entrypoint env env-file env-merge expose gidmap gpus group-add
    group-entry health-cmd health-interval health-retries health-start-interval
    health-start-period health-timeout hooks-dir hostname hostuser image-volume ip ip6 ipc
    isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address
    memory memory-reservation memory-swap memory-swappiness mount name namespace net net-alias
    network network-alias oom-score-adj os pid pidfile pids-limit platform pod pod-id-file
    publish pull restart runtime sdnotify secret security-opt shm-size shm-size-systemd
    stop-signal stop-timeout storage-opt subgidname subuidname sysctl systemd timeout tmpfs tz
    uidmap ulimit umask unsetenv user userns uts variant volume volume-driver volumes-from
    workdir
    """.split()  # noqa: SIM905 - a list of one word a line hides the code
)
"""Options with a value."""


@dataclass(slots=True)
class Container:
    """A container as its command starts it.

    Args:
        program: ``docker``, ``podman`` or ``nerdctl``.
        image: reference of the image.
        words: what follows the image.
        options: the values of each option, by its long name; ``[""]`` for a switch.
        variables: environment variables; None for one whose value is that of the shell.
        variable_files: files with more of them.
    """

    program: str
    image: str
    words: list[str]
    options: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, str | None] = field(default_factory=dict)
    variable_files: list[str] = field(default_factory=list)

    def last(self, name: str) -> str | None:
        """Returns the last value of an option; None if it is absent."""
        values = self.options.get(name)
        return values[-1] if values else None


def container_of(command: Command) -> Container | None:
    """Returns the container that a command starts; None if it starts none.

    Raises:
        UsageError: an option is unknown, a value or the image is missing.
    """
    words = command.words
    for at, word in enumerate(words):
        if word.rpartition("/")[2] not in PROGRAMS:
            continue
        start = _after_global_options(words, at + 1)
        for verb in (["run"], ["container", "run"]):
            if words[start : start + len(verb)] == verb:
                return _read(word.rpartition("/")[2], words[start + len(verb) :], command)
    return None


_GLOBAL_SWITCHES = frozenset({"-D", "--debug", "--tls", "--tlsverify", "-r", "--remote"})


def _after_global_options(words: list[str], at: int) -> int:
    """Returns the place of the verb: ``nerdctl --namespace k8s.io run``."""
    while at < len(words) and words[at].startswith("-"):
        at += 1 if "=" in words[at] or words[at] in _GLOBAL_SWITCHES else 2
    return at


def _read(program: str, words: list[str], command: Command) -> Container:
    options: dict[str, list[str]] = {}
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "--":
        at = _option(program, words, at, options)
    if at < len(words) and words[at] == "--":
        at += 1
    if at == len(words):
        raise UsageError(f"the command names no image: {program} run ends after its options")
    found = Container(program, words[at], words[at + 1 :], options)
    found.variable_files = options.pop("env-file", [])
    for text in options.pop("env", []):
        name, equals, value = text.partition("=")
        found.variables[name] = value if equals else command.environment.get(name)
    return found


def _option(program: str, words: list[str], at: int, options: dict[str, list[str]]) -> int:
    """Reads the option at a place; returns the place of the next word."""
    word = words[at]
    name, equals, value = word.removeprefix("--").partition("=")
    if not word.startswith("--"):
        for place, letter in enumerate(word[1:], 1):
            long = _SHORT.get(letter)
            if long is None:
                raise _unknown(program, f"-{letter}", "")
            if long in _VALUES:
                rest = word[place + 1 :].removeprefix("=")
                if rest:
                    options.setdefault(long, []).append(rest)
                    return at + 1
                return _valued(program, word, long, words, at, options)
            options.setdefault(long, []).append("")
        return at + 1
    if name in _SWITCHES:
        options.setdefault(name, []).append(value)
        return at + 1
    if name not in _VALUES:
        near = get_close_matches(name, _SWITCHES | _VALUES, 1)
        raise _unknown(program, f"--{name}", f"; did you mean --{near[0]}?" if near else "")
    if equals:
        options.setdefault(name, []).append(value)
        return at + 1
    return _valued(program, word, name, words, at, options)


def _valued(
    program: str, word: str, name: str, words: list[str], at: int, options: dict[str, list[str]]
) -> int:
    if at + 1 == len(words):
        raise UsageError(f"{program} run: {word} needs a value")
    options.setdefault(name, []).append(words[at + 1])
    return at + 2


def _unknown(program: str, option: str, hint: str) -> UsageError:
    return UsageError(f"{program} run has no option {shown(option)}{hint}")


def read_variable_file(text: str) -> Mapping[str, str | None]:
    """Returns the variables of a file for ``--env-file``; None for those of the shell."""
    found: dict[str, str | None] = {}
    for line in text.splitlines():
        line = line.lstrip()
        if line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            found[name.strip()] = value if equals else None
    return found
