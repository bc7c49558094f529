"""Writes the index of the catalogue and ``docs/catalogue.md``; ``make generate`` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

from app.catalog import files
from app.catalog.files import CatalogError


def main() -> None:
    """Writes both files.

    Raises:
        SystemExit: a file of the catalogue is wrong.
    """
    try:
        files.main()
    except CatalogError as exc:
        sys.exit(str(exc))
    from tools.catalog.page import page  # reads the index

    Path(sys.argv[1]).write_text("\n".join(page()) + "\n")


if __name__ == "__main__":
    main()
