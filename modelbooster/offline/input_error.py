"""The error about input that cannot be read."""

from __future__ import annotations

from app.errors import UsageError


class InputError(UsageError):
    """Input cannot be read.

    Args:
        file: name of the file.
        why: what is wrong.
        line: line at fault, counted from 1; 0 if none is known.
        column: column at fault, counted from 1; 0 if none is known.
    """

    def __init__(self, file: str, why: str, line: int = 0, column: int = 0) -> None:
        place = [file, *(str(number) for number in (line, column) if number)]
        super().__init__(f"{':'.join(place)}: {why}")
        self.file = file
        self.why = why
        self.line = line or 1
        self.column = column or 1
