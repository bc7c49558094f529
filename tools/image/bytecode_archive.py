"""Loads modules from one archive, in an image. A file ``.pth`` imports this module (``site``).

For each module Python looks into several folders and opens a file: an eighth of the start of a
process. And the base image has no bytecode of the standard library, so that Python would compile
some 160 modules at each start: half of it. The archive has the bytecode of every module
(``make_bytecode_archive.py``). All else is as usual: a module has its file, for tracebacks and for
data beside it, and what the archive lacks is searched in folders.
"""

import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from marshal import loads  # safe here: the archive is a part of the image, as all code is
from types import CodeType

ARCHIVE = "modules.bytecode"
"""The file beside this one: the size of its head in four bytes, the head, and all bytecode."""


class Loader(SourceFileLoader):
    """Executes a module whose bytecode was found.

    Args:
        name: the module.
        code: its bytecode.
    """

    def __init__(self, name: str, code: CodeType) -> None:
        super().__init__(name, code.co_filename)
        self._code: CodeType | None = code

    def get_code(self, fullname: str) -> CodeType | None:
        """Returns the bytecode, which is not kept: a module is executed once."""
        code, self._code = self._code, None
        return code or super().get_code(fullname)


class Finder:
    """Finds modules in an archive (``importlib.abc.MetaPathFinder``).

    Args:
        path: the archive.
    """

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDONLY)
        size = int.from_bytes(os.pread(self._file, 4, 0), "little")
        self._start = 4 + size
        self._places: dict[str, tuple[int, int]]
        self.version, self._places = loads(os.pread(self._file, size, 4))  # noqa: S302

    def find_spec(
        self, name: str, _path: object = None, _target: object = None
    ) -> ModuleSpec | None:
        """Returns how to load a module; None if the archive lacks it."""
        place = self._places.get(name)
        if place is None:
            return None
        offset, size = place
        code: CodeType = loads(os.pread(self._file, size, self._start + offset))  # noqa: S302
        folder, file = os.path.split(code.co_filename)
        spec = ModuleSpec(name, Loader(name, code), origin=code.co_filename)
        spec.has_location = True
        if file == "__init__.py":
            spec.submodule_search_locations = [folder]
        return spec


def install(path: str) -> None:
    """Looks for modules in an archive, made for this Python, before folders are searched."""
    finder = Finder(path)
    if finder.version == sys.hexversion:
        folders: type[PathFinder] = PathFinder
        sys.meta_path.insert(sys.meta_path.index(folders), finder)


install(os.path.join(os.path.dirname(__file__), ARCHIVE))
