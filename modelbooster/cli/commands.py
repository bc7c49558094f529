"""The commands of the command line, in the order in which ``--help`` lists them.

A command is imported when it runs, so that ``--help`` and ``--version`` load no other code, not
even click.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

SUMMARIES = {
    "create": "Make a ModelBooster of a model's name, or of a command.",
    "validate": "Print what the webhook would answer, without a cluster.",
    "render": "Print the children, without a cluster.",
    "crd": "Print the CustomResourceDefinition.",
    "engine": "Print the flags of the engine in an image.",
    "get": "Print ModelBoosters, their children, or templates of the catalogue.",
    "describe": "Print everything about a ModelBooster, a child of one, or a template.",
    "status": "Show how ModelBoosters are doing, and why one does not serve.",
    "wait": "Wait until a ModelBooster is active, or has another state.",
    "diff": "Print what applying files would change in the cluster, and which pods restart.",
    "logs": "Print the logs of the pods of a ModelBooster.",
    "chat": "Send one prompt to a served model and print its answer.",
    "curl": "Send one prompt to a served model and print the response as JSON.",
    "check-webhook": "Check with dry runs that the API server calls the webhook.",
    "doctor": "Check the installation, and print how to fix what is wrong.",
    "dashboard": "Serve a page that shows how all ModelBoosters are doing.",
    "migrate": "Print what a takeover from kthena's own controller would change.",
    "webhook": "Serve the admission webhook of ModelBoosters.",
    "controller": "Reconcile ModelBoosters and their children.",
    "run": "Run webhook and controller in one process, for development.",
    "completion": "Print the completion script of a shell.",
}
"""The first sentence of each command's help, for the list of commands. A test compares them."""

PROCESSES = ("webhook", "controller", "run")
"""The commands that run until they are told to end."""

_HELP = """\
Usage: {program} [OPTIONS] COMMAND [ARGS]...

  Serve language models on Kubernetes, each from one ModelBooster object.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""


PLUGIN = "kubectl-model_booster"
"""The name by which kubectl finds the program as ``kubectl model-booster``."""


def program_name(path: str) -> str:
    """Returns what the user typed, for help and usage: the program, or kubectl and its plugin.

    Args:
        path: the path of the script that was started.
    """
    return "kubectl model-booster" if path.rpartition("/")[2] == PLUGIN else "model-booster"


def overview(program: str) -> str:
    """Returns the help of the program: its options and its commands.

    Args:
        program: what the user typed to start it.
    """
    width = max(map(len, SUMMARIES)) + 2
    lines = [f"  {name:{width}}{text}\n" for name, text in SUMMARIES.items()]
    return _HELP.format(program=program) + "".join(lines)


def load(name: str) -> click.Command:
    """Imports a command."""
    command: click.Command
    match name:
        case "create":
            from modelbooster.cli.catalog.create import create as command
        case "validate":
            from modelbooster.cli.files.validate import validate as command
        case "render":
            from modelbooster.cli.files.render import render as command
        case "crd":
            from modelbooster.cli.files.crd import crd as command
        case "engine":
            from modelbooster.cli.files.engine import engine as command
        case "get":
            from modelbooster.cli.cluster.get import get as command
        case "describe":
            from modelbooster.cli.cluster.describe import describe as command
        case "status":
            from modelbooster.cli.cluster.status import status as command
        case "wait":
            from modelbooster.cli.cluster.wait import wait as command
        case "diff":
            from modelbooster.cli.cluster.diff import diff as command
        case "logs":
            from modelbooster.cli.cluster.logs import logs as command
        case "chat":
            from modelbooster.cli.cluster.chat import chat as command
        case "curl":
            from modelbooster.cli.cluster.chat import curl as command
        case "check-webhook":
            from modelbooster.cli.cluster.check_webhook import check_webhook as command
        case "doctor":
            from modelbooster.cli.cluster.doctor import doctor as command
        case "dashboard":
            from modelbooster.cli.cluster.dashboard import dashboard as command
        case "migrate":
            from modelbooster.cli.cluster.migrate import migrate as command
        case "webhook":
            from modelbooster.cli.processes import webhook as command
        case "controller":
            from modelbooster.cli.processes import controller as command
        case "run":
            from modelbooster.cli.processes import run as command
        case "completion":
            from modelbooster.cli.completion import completion as command
        case _:
            raise AssertionError(f"{name} is not loaded")
    return command
