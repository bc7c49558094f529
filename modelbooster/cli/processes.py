"""The commands ``webhook``, ``controller`` and ``run``, which start long-running processes."""

from __future__ import annotations

import click

from modelbooster.supervise import OPTION

_kubeconfig = click.option(
    "--kubeconfig",
    metavar="PATH",
    help="Access to the cluster; if absent the pod's own, else $KUBECONFIG, else ~/.kube/config.",
)


def _process_command(name: str, help_text: str) -> click.Command:
    """Returns the command that runs one process until it is told to end."""

    @click.command(name, help=help_text)
    @_kubeconfig
    def command(kubeconfig: str | None) -> None:
        from modelbooster.cli.serve import serve  # which imports a whole process

        serve(name, kubeconfig)

    return command


webhook = click.option(
    OPTION,
    is_flag=True,
    expose_value=False,  # cli/entry.py acts on it, before this module is imported
    help="Start the process again if it dies, and keep its port open meanwhile.",
)(_process_command("webhook", "Serve the admission webhook of ModelBoosters."))
controller = _process_command("controller", "Reconcile ModelBoosters and their children.")
run = _process_command("run", "Run webhook and controller in one process, for development.")
