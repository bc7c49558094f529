"""Programs whose output cannot be written end with a sentence, not with a traceback."""

from __future__ import annotations

import subprocess

import pytest

from tests.forked_program import PROGRAM


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (">/dev/full", 1, "Error: the output cannot be written: No space left on device\n"),
        (">&-", 0, ""),
    ],
)
def test_output_that_cannot_be_written(end: str, code: int, said: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{PROGRAM} get templates {end}"], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (code, said)
