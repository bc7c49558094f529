"""Runs the command line: ``python -m modelbooster``."""

from modelbooster.cli.entry import run

if __name__ == "__main__":
    run()
