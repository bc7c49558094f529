"""Makes the archive that ``bytecode_archive.py`` reads: the bytecode of every module in one file.

    PYTHON make_bytecode_archive.py ARCHIVE

PYTHON is that of the environment. Bytecode names the file of its module, so the environment must
have the path that it has in the image.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from marshal import dumps
from pathlib import Path

BUNDLED = Path("modelbooster", "_bundled")
"""The folder of packages that the program puts in front of all others."""

UNUSED = {"ensurepip", "idlelib", "lib2to3", "test", "tests", "tkinter", "turtledemo"}
"""Packages of the standard library, and folders of tests, that no program of ours uses."""


def modules(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields the modules below a folder of the path, with their files."""
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not UNUSED.isdisjoint(parts) or not all(map(str.isidentifier, parts[:-1])):
            continue
        if BUNDLED.name in parts or _is_compiled(path):
            continue
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _is_compiled(path: Path) -> bool:
    """Whether there is a compiled library of the same name, which Python prefers."""
    return any(path.with_suffix(suffix).exists() for suffix in EXTENSION_SUFFIXES)


def bytecode(name: str, path: Path) -> bytes | None:
    """Returns the bytecode of a module; None if it is not for this Python."""
    loader = SourceFileLoader(name, str(path))
    try:
        return dumps(loader.source_to_code(path.read_bytes(), str(path)))
    except SyntaxError:
        return None


def archive(folders: list[Path]) -> bytes:
    """Returns the archive of all modules; of two with the same name, that of the first folder."""
    files: dict[str, Path] = {}
    for folder in folders:
        for name, path in modules(folder):
            files.setdefault(name, path)
    index: dict[str, tuple[int, int]] = {}
    codes = bytearray()
    for name, path in files.items():
        code = bytecode(name, path)
        if code is not None:
            index[name] = len(codes), len(code)
            codes += code
    head = dumps((sys.hexversion, index))
    return len(head).to_bytes(4, "little") + head + codes


def main() -> None:
    """Makes the archive that the command line names."""
    packages, standard = (Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib"))
    Path(sys.argv[1]).write_bytes(archive([packages / BUNDLED, standard, packages]))


if __name__ == "__main__":
    main()
