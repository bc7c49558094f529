"""Completion for kubectl, which runs the program ``kubectl_complete-model_booster``."""

from __future__ import annotations

import sys

from click.shell_completion import ShellComplete

from modelbooster.cli.main import cli

_DEFAULT, _NO_FILES, _FOLDERS = 0, 4, 16
"""What kubectl may add to our words: files, nothing, or folders (cobra's ShellCompDirective)."""


def complete_for_kubectl() -> None:
    """Prints the completions of a command line as kubectl asks its plugins for them.

    kubectl runs ``kubectl_complete-NAME WORD... PARTIAL`` and reads a completion per line, each
    with its help after a tab, and last a line with a colon and the directive.
    """
    *words, partial = sys.argv[1:] or [""]
    found = ShellComplete(cli, {}, "model-booster", "").get_completions(words, partial)
    directive = _NO_FILES
    for item in found:
        if item.type in ("file", "dir"):
            directive = _DEFAULT if item.type == "file" else _FOLDERS
        else:
            print(f"{item.value}\t{item.help}" if item.help else item.value)
    print(f":{directive}")
