"""Rewrites the golden files: ``make golden``. Read the diff before you commit it."""

from __future__ import annotations

from tests.golden.cases import CASES, FOLDER, files


def main() -> None:
    """Writes the files of each case and removes all others."""
    wanted = dict(pair for case in CASES for pair in files(case))
    for path in FOLDER.glob("*/*.yaml"):
        if path.name != "input.yaml" and path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
