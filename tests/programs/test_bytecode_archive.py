"""The reader of the archive of bytecode that an image has; the image's own is tested in supply."""

from __future__ import annotations

import shutil
import subprocess
import sys
from marshal import dumps
from pathlib import Path

import pytest

READER = Path(__file__).parents[2] / "tools/image/bytecode_archive.py"
SOURCE = """
def fail():
    raise ValueError("seen")
"""


def archived(folder: Path, version: int) -> None:
    """Makes an archive that has the module ``greeting`` and its package ``words``."""
    places, codes = {}, b""
    for name, file in (("words", "words/__init__.py"), ("words.greeting", "words/greeting.py")):
        path = folder / "sources" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SOURCE)
        code = dumps(compile(SOURCE, str(path), "exec"))
        places[name] = len(codes), len(code)
        codes += code
    head = dumps((version, places))
    (folder / "modules.bytecode").write_bytes(len(head).to_bytes(4, "little") + head + codes)
    shutil.copy(READER, folder)


def run(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"import bytecode_archive\n{script}"],
        env={"PYTHONPATH": str(folder)},
        text=True,
        capture_output=True,
        check=False,
    )


def test_a_module_of_the_archive_has_its_file_and_its_lines(tmp_path: Path) -> None:
    archived(tmp_path, sys.hexversion)
    (tmp_path / "sources/words/beside.py").write_text("found = True\n")

    done = run(tmp_path, "import words.beside, words.greeting as g; print(g.__file__); g.fail()")

    assert done.stdout == f"{tmp_path}/sources/words/greeting.py\n"
    assert 'raise ValueError("seen")' in done.stderr


@pytest.mark.parametrize("part", ["words", "words.greeting"])
def test_an_archive_for_another_python_is_ignored(tmp_path: Path, part: str) -> None:
    archived(tmp_path, sys.hexversion + 1)
    done = run(tmp_path, f"import {part}")
    assert "ModuleNotFoundError: No module named 'words'" in done.stderr
