"""Shows commands and what they print, and checks that it is what it should be."""

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
    """A command did not do what the demo promises."""


class Stage:
    """Runs commands as a user types them, in front of everybody.

    Args:
        programs: where the programs are that commands begin with.
        environment: theirs.
        folder: the working folder.
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
        """How long the demo has been going on."""
        return time.monotonic() - self._begun

    def title(self, text: str) -> None:
        """Shows the headline."""
        self._print(self._coloured("1", text))
        self._print(self._coloured("1", "═" * len(text)))

    def chapter(self, text: str) -> None:
        """Begins a chapter."""
        self._chapters += 1
        self._print()
        self._print(self._coloured("1;36", f"{self._chapters}. {text}"))

    def note(self, text: str) -> None:
        """Says something about what comes."""
        for line in text.splitlines():
            self._print(self._coloured("2", f"   # {line}"))

    def run(
        self, command: str, *says: str, code: int = 0, quiet: bool = False, seconds: float = 0
    ) -> None:
        """Runs a command and shows it with its output.

        Args:
            command: as a user types it; what stands in single quotes is one argument.
            says: regular expressions, each of which must be found in the output.
            code: the exit code that it must have.
            quiet: show no output.
            seconds: for how long it is repeated until it says so; only the last time is shown.

        Raises:
            NotAsExpected: the output or the exit code is another.
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
            raise NotAsExpected(f"it should have ended with {code}, and ended with {ended}")
        if missing:
            raise NotAsExpected(f"it should have said {missing[0]!r}")

    def expect(self, holds: object, what: str) -> None:
        """Checks something that no command shows.

        Raises:
            NotAsExpected: it is not so.
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
