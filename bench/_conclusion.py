"""How a benchmark ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


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
