"""Options and helpers that several commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from app.apis.kinds import DEFAULT_RELEASE, PROFILES, read_kthena_release
from app.errors import UsageError
from modelbooster.cli.failures import REFUSED

if TYPE_CHECKING:
    from app.convert.options import Options
    from app.validation import Context
    from modelbooster.offline.answers import Answer
    from modelbooster.offline.documents import Document

files_argument = click.argument(
    "files", nargs=-1, metavar="[FILE...|-]", type=click.Path(allow_dash=True)
)
kthena_option = click.option(
    "--kthena",
    metavar="RELEASE",
    type=click.Choice(list(PROFILES)),
    help=f"kthena release of the children: {', '.join(PROFILES)}; {DEFAULT_RELEASE} if not given.",
)
strict_option = click.option("--strict", is_flag=True, help="Refuse unknown fields.")
namespace_option = click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="Namespace of ModelBoosters that name none.",
)


def answer_files(
    files: tuple[str, ...], kthena: str | None, *, mixed: bool = False, **choices: Any
) -> list[Answer]:
    """Returns what the webhook would answer to the ModelBoosters in files.

    Args:
        files: paths, or ``-`` for standard input; standard input if empty.
        kthena: kthena release; if None the one in the settings, else the default.
        mixed: whether files without a ModelBooster are left out, whatever they contain.
        choices: the other arguments of ``offline.answers.answers``.

    Raises:
        UsageError: a file or setting cannot be read, or there is no input.
    """
    from modelbooster.offline.documents import STDIN, read, read_mixed

    if not files and sys.stdin.isatty():
        raise UsageError('name the files to read, or "-" for the standard input')
    names = files or (STDIN,)
    documents = read_mixed(names, _print_note) if mixed else read(names)
    return answer_documents(documents, kthena, **choices)


def answer_documents(
    documents: Iterable[Document], kthena: str | None, **choices: Any
) -> list[Answer]:
    """Returns what the webhook would answer to objects; see ``answer_files``."""
    from modelbooster.offline.answers import answers

    return answers(documents, context_for(kthena), note=_print_note, **choices)


def context_for(kthena: str | None) -> Context:
    """Returns what answers depend on besides documents: settings and kthena release.

    Args:
        kthena: kthena release; if None the one in the settings, else the default.

    Raises:
        UsageError: a setting cannot be read.
    """
    from app.validation import Context

    release, options = _conversion_settings()
    release = kthena or release or DEFAULT_RELEASE
    options = replace(options, kthena_release=read_kthena_release(release))
    return Context(options=options, profile=PROFILES[release])


def _conversion_settings() -> tuple[str | None, Options]:
    """Returns the kthena release and the conversion options that the environment sets.

    Raises:
        UsageError: a variable is unknown or invalid.
    """
    from app.convert.options import SETTING_PREFIX, Options

    if not any(name.upper().startswith(SETTING_PREFIX) for name in os.environ):
        return None, Options()  # the types of all settings take long to build
    from modelbooster.settings import read_settings

    settings = read_settings()
    return settings.kthena_release, settings.options


def exit_code(answers: list[Answer]) -> int:
    """Returns 0 if all objects are allowed, else ``REFUSED``."""
    return 0 if all(answer.allowed for answer in answers) else REFUSED


def _print_note(text: str) -> None:
    click.echo(" ".join(text.splitlines()), err=True)  # names can have any character
