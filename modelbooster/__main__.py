"""The command line. Other tools depend on its commands, options, output and exit codes.

Exit codes: 0 all accepted or rendered, 1 something was refused or went wrong, 2 the program was
called or set up in a way that cannot work. Results go to stdout, everything else to stderr.

``crd``, ``validate``, ``render`` and ``engine`` need no cluster, and nothing that talks to one is
imported for them: that would take longer than they do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import click

from app.apis.kinds import DEFAULT_RELEASE, PROFILES
from app.errors import OperatorError, UsageError

if TYPE_CHECKING:
    from modelbooster.offline.answers import Answer
    from modelbooster.process import Part

REFUSED = 1
USAGE = 2

_files = click.argument("files", nargs=-1, metavar="[FILE...|-]")
_kthena = click.option(
    "--kthena",
    metavar="RELEASE",
    type=click.Choice(list(PROFILES)),
    help=f"kthena release of the children: {', '.join(PROFILES)}; {DEFAULT_RELEASE} if not given.",
)
_strict = click.option("--strict", is_flag=True, help="Refuse unknown fields.")
_namespace = click.option(
    "-n",
    "--namespace",
    default="default",
    show_default=True,
    help="Namespace of ModelBoosters that name none.",
)
_kubeconfig = click.option(
    "--kubeconfig",
    metavar="PATH",
    help="Access to the cluster; if absent the pod's own, else $KUBECONFIG, else ~/.kube/config.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="model-booster", prog_name="model-booster")
def cli() -> None:
    """Serves language models on Kubernetes, from one object each: the ModelBooster."""


@cli.command()
@_files
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@_kthena
@_strict
@_namespace
def validate(
    files: tuple[str, ...], output: str, kthena: str | None, strict: bool, namespace: str
) -> None:
    """Say what the webhook would say, without a cluster.

    All documents of one call are taken as one cluster, so that clashes between them are found.
    """
    from modelbooster.offline.dialect import to_json

    answers = _answers(files, kthena, strict=strict, namespace=namespace)
    for answer in answers:
        click.echo(to_json(answer.summary()) if output == "json" else answer.text(), nl=False)
    sys.exit(0 if all(answer.allowed for answer in answers) else REFUSED)


@cli.command()
@_files
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml")
@click.option(
    "--diff",
    nargs=2,
    metavar="OLD NEW",
    help="Print instead what an edit from OLD to NEW would change, and which backends restart.",
)
@_kthena
@_strict
@_namespace
def render(
    files: tuple[str, ...],
    output: str,
    diff: tuple[str, str] | None,
    kthena: str | None,
    strict: bool,
    namespace: str,
) -> None:
    """Print the children, without a cluster.

    What is refused is not rendered; the refusal goes to stderr.
    """
    from modelbooster.offline.answers import children
    from modelbooster.offline.dialect import to_json, to_yaml

    if diff is not None:
        if files:
            raise UsageError("--diff takes two files, and no others can be named beside it")
        _diff(*diff, output, kthena, strict=strict, namespace=namespace)
    answers = _answers(files, kthena, strict=strict, namespace=namespace)
    for answer in answers:
        _say_what_is_wrong(answer)
        rendered = children(answer)
        text = to_yaml(rendered) if output == "yaml" else "".join(map(to_json, rendered))
        click.echo(text, nl=False)
    sys.exit(0 if all(answer.allowed for answer in answers) else REFUSED)


def _diff(old: str, new: str, output: str, kthena: str | None, **choices: Any) -> NoReturn:
    from modelbooster.offline.dialect import to_json
    from modelbooster.offline.preview import previews

    before, after = (_answers((file,), kthena, **choices) for file in (old, new))
    for answer in (*(a for a in before if not a.allowed), *after):
        _say_what_is_wrong(answer)
    if not all(answer.allowed for answer in (*before, *after)):
        sys.exit(REFUSED)
    for preview in previews(before, after):
        click.echo(to_json(preview.summary()) if output == "json" else preview.text(), nl=False)
    sys.exit(0)


def _say_what_is_wrong(answer: Answer) -> None:
    click.echo(answer.complaints(), nl=False, err=True)


@cli.command()
@click.option("--chart", is_flag=True, hidden=True, help="As the template of our Helm chart.")
def crd(chart: bool) -> None:
    """Print the CustomResourceDefinition."""
    from app.apis.crd import chart_template, model_booster_crd
    from modelbooster.offline.dialect import to_yaml

    document = to_yaml([model_booster_crd()])
    click.echo(chart_template(document) if chart else document, nl=False)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("image")
@click.argument("flag", required=False)
@click.option(
    "--engine", "name", type=click.Choice(["vllm", "sglang"]), help="If IMAGE does not tell it."
)
@click.option("--release", help="Release of the engine, if IMAGE does not tell it.")
def engine(image: str, flag: str | None, name: str | None, release: str | None) -> None:
    """Print the flags of the engine in an image, or what is known of one of them."""
    from app.engines import shown
    from app.engines.engine import engine_of
    from app.engines.image import engine_of_image

    try:
        known = engine_of(name or engine_of_image(image), image, release)
    except ValueError as exc:
        raise UsageError(str(exc)) from None
    click.echo(shown.heading(known), err=True)
    lines = list(shown.details(known, flag) if flag else shown.summary(known))
    for line in lines:
        click.echo(line)
    if not lines and flag:
        click.echo(f"{flag}: {shown.absent(known, flag)}", err=True)
        sys.exit(REFUSED)


def _process(name: str, meaning: str) -> None:
    @cli.command(name, help=meaning)
    @_kubeconfig
    def command(kubeconfig: str | None) -> None:
        from modelbooster.process import Part, start

        parts = {"webhook": Part.WEBHOOK, "controller": Part.CONTROLLER}
        _run(start, parts.get(name, Part.WEBHOOK | Part.CONTROLLER), kubeconfig)


_process("webhook", "Answer the API server's questions about ModelBoosters.")
_process("controller", "Make and keep the children of ModelBoosters.")
_process("run", "Do both in one process, for development.")


def _run(start: Callable[..., int], part: Part, kubeconfig: str | None) -> None:
    from modelbooster.settings import read_settings

    sys.exit(start(read_settings(), part, kubeconfig))


def _answers(files: tuple[str, ...], kthena: str | None, **choices: Any) -> list[Answer]:
    from app.validation import Context
    from modelbooster.offline.answers import answers
    from modelbooster.offline.documents import STDIN, read
    from modelbooster.settings import read_settings

    if not files and sys.stdin.isatty():
        raise UsageError('name the files to read, or "-" for the standard input')
    settings = read_settings()
    release = kthena or settings.kthena_release or DEFAULT_RELEASE
    context = Context(options=settings.options, profile=PROFILES[release])
    return answers(read(files or (STDIN,)), context, note=_note, **choices)


def _note(text: str) -> None:
    click.echo(text, err=True)


def main(args: Sequence[str] | None = None) -> None:
    """Runs the command line; errors that we know are sentences, not tracebacks.

    Args:
        args: what stands behind the program's name; that of this process if None.
    """
    try:
        cli(args=args, prog_name="model-booster")
    except OperatorError as exc:
        click.echo(f"Error: {exc}", err=True)
        sys.exit(USAGE if isinstance(exc, UsageError) else REFUSED)


if __name__ == "__main__":
    main()
