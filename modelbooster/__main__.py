"""Runs the command line: ``python -m modelbooster``."""

from modelbooster.cli.main import main

if __name__ == "__main__":
    main()
