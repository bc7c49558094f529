"""Prints commands with their output and checks the output."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path


class NotAsExpected(Exception):
    """A command behaved differently from what the demo shows."""


class Stage:
    """Runs commands as a user types them and prints them with their output.

    Args:
        programs: name of a program -> its path.
        environment: environment variables of the commands.
        folder: working directory of the commands.
    """

    def __init__(
        self, programs: Mapping[str, Path], environment: Mapping[str, str], folder: Path
    ) -> None:
        self._programs = programs
        self._environment = dict(environment)
        self._folder = folder
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._begun = time.monotonic()
        self._chapters = 0

    @property
    def seconds(self) -> float:
        """Seconds since the start of the demo."""
        return time.monotonic() - self._begun

    def title(self, text: str) -> None:
        """Prints the title."""
        self._print(self._coloured("1", text))
        self._print(self._coloured("1", "═" * len(text)))

    def chapter(self, text: str) -> None:
        """Starts a chapter."""
        self._chapters += 1
        self._print()
        self._print(self._coloured("1;36", f"{self._chapters}. {text}"))

    def note(self, text: str) -> None:
        """Prints a remark about the next command."""
        for line in text.splitlines():
            self._print(self._coloured("2", f"   # {line}"))

    def run(
        self, command: str, *says: str, code: int = 0, quiet: bool = False, seconds: float = 0
    ) -> None:
        """Runs a command and prints it with its output.

        Args:
            command: as a user types it, with shell quoting.
            says: regular expressions, each of which must be found in the output.
            code: the expected exit code.
            quiet: print no output.
            seconds: how long to repeat it until it succeeds; only the last output is printed.

        Raises:
            NotAsExpected: the output or the exit code differs.
        """
        self._print()
        self._print(f"   {self._coloured('32', '$')} {self._coloured('1', command)}")
        deadline = time.monotonic() + seconds
        while True:
            output, ended = self._ran(command)
            missing = [text for text in says if not re.search(text, output)]
            if (ended == code and not missing) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for line in () if quiet and ended == code else output.splitlines():
            self._print(f"   {line}")
        if ended != code:
            raise NotAsExpected(f"expected exit code {code}, got {ended}")
        if missing:
            raise NotAsExpected(f"the output does not match {missing[0]!r}")

    def expect(self, holds: object, what: str) -> None:
        """Checks a condition that no command prints.

        Raises:
            NotAsExpected: the condition is false.
        """
        if not holds:
            raise NotAsExpected(what)

    def _ran(self, command: str) -> tuple[str, int]:
        name, *arguments = shlex.split(command)
        done = subprocess.run(
            [self._programs[name], *arguments],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout, done.returncode

    def _coloured(self, how: str, text: str) -> str:
        return f"\x1b[{how}m{text}\x1b[0m" if self._colours else text

    def _print(self, text: str = "") -> None:
        print(text, flush=True)
