"""The command line. It takes the arguments of kthena's downloader, and has commands for a cache.

Exit codes: 0 the model is whole; 1 it is not, and stderr says why; 2 wrong arguments; 143 the
process was told to end. With ``MODELBOOSTER_REFUSED_EXIT_CODE`` a failure that needs a person has
that code in place of 1, so that a Job can end without further attempts.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from downloader.errors import PERMANENT, DownloadError, Reason, missing_library, without_secrets
from downloader.paths import place_of
from downloader.progress.output import TERMINATION_LOG, Output
from downloader.settings import MAX_BYTES, MAX_FILES, MAX_WORKERS, WORKERS, Settings, settings_of

FAILED = 1
INTERRUPTED = 143

_EPILOG = """
commands for a cache:
  list CACHE      name the models of a cache
  verify FOLDER   read a model, and compare it with its manifest
  gc CACHE        remove old models that no pod uses
  prepare FOLDER  as root, make the folder of a model for the user that downloads
"""


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits the process.

    Args:
        args: arguments after the program name; those of this process if None.
    """
    args = list(sys.argv[1:] if args is None else args)
    if args[:1] and args[0] in ("list", "verify", "gc", "prepare"):
        from downloader.cache import commands

        sys.exit(commands.run(args))
    given = _parser().parse_args(args)
    termination = os.environ.get("MODELBOOSTER_TERMINATION_LOG", TERMINATION_LOG)
    output = Output(given.source, is_json=given.progress == "json", termination=termination)
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    code = 0
    try:
        settings = settings_of(
            given.source,
            given.max_workers,
            given.config,
            os.environ,
            given.max_files,
            given.max_bytes,
        )
        _download(settings, given.output_dir, output, refresh=given.refresh)
    except DownloadError as exc:
        output.failed(exc)
        code = _code_of(exc.reason)
    except ModuleNotFoundError as exc:
        output.failed(missing_library(exc.name or ""))
        code = FAILED
    except Exception as exc:
        text = without_secrets(f"{type(exc).__name__}: {exc}")
        output.failed(DownloadError(Reason.UNREACHABLE, f"unexpected error: {text}"))
        code = FAILED
    sys.stdout.flush()
    # Threads that wait for a server that does not answer must not keep the process.
    os._exit(code)


def _code_of(reason: Reason) -> int:
    if reason is Reason.INTERRUPTED:
        return INTERRUPTED
    asked = os.environ.get("MODELBOOSTER_REFUSED_EXIT_CODE", "")
    is_code = asked.isascii() and asked.isdigit() and 0 < int(asked) < 256
    return int(asked) if reason in PERMANENT and is_code else FAILED


def _download(settings: Settings, folder: str, output: Output, *, refresh: bool) -> None:
    from downloader.run import Run  # a start with wrong arguments needs no threads

    place = place_of(folder)
    Run(settings, place, output, refresh=refresh).run()


def _interrupted(number: int, _frame: object) -> NoReturn:
    raise DownloadError(
        Reason.INTERRUPTED,
        f"ended by {signal.Signals(number).name}",
        "the next start goes on from here",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="model-booster-downloader",
        description="Brings a model to a folder: whole, or not at all.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        *("-s", "--source"),
        required=True,
        help="hf://owner/name, ms://owner/name, s3://bucket/path, obs://bucket/path, pvc://path",
    )
    parser.add_argument("-o", "--output-dir", default="~/downloads", help="folder of the model")
    parser.add_argument(
        *("-w", "--max-workers"),
        type=_between(1, MAX_WORKERS),
        default=WORKERS,
        help="requests at a time (default: %(default)s)",
    )
    parser.add_argument("-c", "--config", help='JSON object, such as {"hf_revision": "v1.0"}')
    parser.add_argument(
        "--progress", choices=("text", "json"), default="text", help="form of the log lines"
    )
    parser.add_argument(
        "--refresh", action="store_true", help="ask the source also if the model is whole"
    )
    parser.add_argument(
        "--max-files", type=_between(1, 10**9), default=MAX_FILES, help="refuse larger listings"
    )
    parser.add_argument(
        "--max-bytes", type=_between(1, 10**18), default=MAX_BYTES, help="refuse larger models"
    )
    return parser


class _between:
    def __init__(self, low: int, high: int) -> None:
        self._low, self._high = low, high

    def __call__(self, text: str) -> int:
        if not text.isdecimal() or not self._low <= int(text) <= self._high:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a number from {self._low} to {self._high}"
            )
        return int(text)
