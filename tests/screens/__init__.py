"""Screens of the commands, as files to look at; a test compares them exactly.

``REWRITE_SCREENS=1`` in the environment writes them anew: look at the difference then.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.commands import aged

FOLDER = Path(__file__).parent


def check(name: str, text: str, **names: str) -> None:
    """Compares an output with the file of a screen.

    Args:
        name: name of the file, without ``.txt``.
        text: the output; ages are made equal.
        names: what differs from run to run, by what stands for it in the file.

    Raises:
        AssertionError: it differs.
    """
    for stands_for, value in names.items():
        text = text.replace(value, stands_for)
    text = aged(text)
    path = FOLDER / f"{name}.txt"
    if os.environ.get("REWRITE_SCREENS"):
        path.write_text(text)
    assert text == path.read_text()
