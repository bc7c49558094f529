"""The entry point of the program. It imports little, because each start of the program pays for it.

The list of commands is printed without click, and a process starts without it as the chart starts
it, because importing click takes as long as starting Python.

The folder with our packages comes first on the path, because a project that runs the program may
have a package ``app`` of its own. Importing ``modelbooster`` alone changes nothing.
"""

from __future__ import annotations

import gc
import os.path
import sys

from modelbooster.cli.garbage import collect_rarely


def run() -> None:
    """Runs the command line of this process and exits."""
    _put_our_packages_first()
    collect_rarely()
    given = sys.argv[1:]
    try:
        if given[:1] == ["webhook"]:
            given = _supervised(given)
        # After that, because the parent of the webhook's process keeps what it has imported.
        from modelbooster.cli.commands import PROCESSES, overview, program_name

        if given in (["--help"], ["-h"]):
            print(overview(program_name(sys.argv[0])), end="")
        elif len(given) == 1 and given[0] in PROCESSES:
            from modelbooster.cli import serve

            serve.main(given[0])
        else:
            from modelbooster.cli.main import main

            main()
    finally:
        gc.freeze()  # so that the exit does not search all modules for garbage


def _supervised(given: list[str]) -> list[str]:
    """Runs the rest in children of this process, if the command line says so.

    Returns:
        The command line without that option: in each child, and here if there is no such option.
    """
    from modelbooster.supervise import OPTION, supervise

    if OPTION not in given:
        return given
    code = supervise()
    if code is not None:
        sys.exit(code)
    return [argument for argument in given if argument != OPTION]


def complete() -> None:
    """Completes a command line of kubectl: the program ``kubectl_complete-model_booster``."""
    _put_our_packages_first()
    from modelbooster.cli.plugin import complete_for_kubectl

    complete_for_kubectl()


def download() -> None:
    """Runs the downloader: the program ``model-booster-downloader``."""
    _put_our_packages_first()
    from downloader.main import main

    main()


def _put_our_packages_first() -> None:
    folder = packages_folder()
    if sys.path[:1] != [folder]:  # each import searches each entry
        sys.path.insert(0, folder)


def packages_folder() -> str:
    """Returns the folder that holds our packages: in a wheel ``_bundled``, else the checkout."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    bundled = os.path.join(ours, "_bundled")
    return bundled if os.path.isdir(bundled) else os.path.dirname(ours)
