"""The limits of a benchmark, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Limit(NamedTuple):
    """A figure, and the most that it may be."""

    name: str
    value: float
    most: float

    @property
    def is_broken(self) -> bool:
        """Whether the figure is too large."""
        return self.value > self.most

    def __str__(self) -> str:
        """Says all of it in a line."""
        return f"{self.name}: {self.value:.2f}, at most {self.most:g}"


def concluded(found: dict[str, Any], faults: list[str], path: Path | None) -> int:
    """Writes all figures to a file if one is named, and prints broken limits.

    Returns:
        The exit code: 1 if a limit is broken.
    """
    if path:
        path.write_text(json.dumps(found, indent=1))
    for fault in faults:
        print(f"LIMIT BROKEN: {fault}", file=sys.stderr)
    return bool(faults)
