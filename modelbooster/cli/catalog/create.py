"""The command ``create``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from app.errors import ApiError, UsageError
from modelbooster.cli.catalog.command_or_manifest import CommandOrManifest, ModelArgument
from modelbooster.cli.catalog.options import (
    FORMATS,
    apply_to_cluster,
    check_booster,
    print_booster,
    print_note,
    read_text,
    resource_name,
)
from modelbooster.cli.cluster_options import cluster_options, with_cluster
from modelbooster.cli.options import kthena_option

if TYPE_CHECKING:
    from app.catalog.choosing.offers import Offer
    from app.catalog.templates import Template
    from app.values.meta import Object
    from modelbooster.observe.access import Cluster


@click.command(cls=CommandOrManifest, no_args_is_help=False)
@click.argument("model", cls=ModelArgument, required=False)
@click.option(
    "--from",
    "command",
    metavar="COMMAND",
    help="A command that starts vLLM or SGLang, also in docker; - reads it from standard input.",
)
@click.option(
    "--gpu",
    multiple=True,
    metavar="DEVICE",
    help="Devices to choose the profile for: h100, h100:2, amd.com/gpu. If absent, those of the "
    "cluster's nodes. With --from, the extended resource to request.",
)
@click.option("--engine", type=click.Choice(["vllm", "sglang"]), help="Engine.")
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="Value of a parameter.")
@click.option("-f", "--values", "files", multiple=True, metavar="FILE", help="File of values.")
@click.option("--name", help="Name of the ModelBooster.")
@click.option("--image", help="With --from: image of the engine.")
@click.option("--engine-release", metavar="X.Y.Z", help="With --from: release of the engine.")
@click.option("--model-uri", metavar="URI", help="With --from: source of the model.")
@click.option("--cache", metavar="URI", help="With --from: where pods keep downloaded models.")
@click.option("--pods", type=click.IntRange(1), help="With --from: pods of one engine.")
@click.option("-o", "--output", type=click.Choice(FORMATS), help="yaml unless applied.")
@click.option("--apply", "is_applied", is_flag=True, help="Apply it to the cluster.")
@click.option("--force-conflicts", is_flag=True, help="Take over fields of other clients.")
@click.option(
    "--dry-run",
    type=click.Choice(["none", "client", "server"]),
    default="none",
    help="server: let the cluster check it, store nothing.",
)
@kthena_option
@cluster_options
def create(
    model: str | None,
    command: str | None,
    gpu: tuple[str, ...],
    engine: str | None,
    sets: tuple[str, ...],
    files: tuple[str, ...],
    name: str | None,
    output: str | None,
    is_applied: bool,
    force_conflicts: bool,
    dry_run: str,
    kthena: str | None,
    **others: Any,
) -> None:
    """Make a ModelBooster of a model's name, or of a command.

    MODEL is a name of "get templates", with or without its vendor. Prints the ModelBooster, or
    applies it with --apply. "create manifest" has the options of kthena's command line.
    """
    about = {key: others.pop(key) for key in _ONLY_FROM}
    cluster = {**others}
    if (model is None) == (command is None):
        raise UsageError(
            "name a model of the catalogue, or give a command with --from; one of both"
        )
    if command is not None:
        _refuse({"--engine": engine, "--set": sets, "-f": files}, "with --from the command says it")
        booster = _from_command(
            command, name, gpu, cluster["namespace"], {**about, "kthena": kthena}
        )
    else:
        _refuse({_flag(key): value for key, value in about.items()}, "is an option of --from")
        booster = _from_catalog(str(model), gpu, engine, sets, files, name, kthena, cluster)
    sent = dry_run == "server" or (is_applied and dry_run == "none")
    if not sent:
        check_booster(booster, kthena, cluster["namespace"])
        print_booster(booster, output or "yaml")
        return
    applied = apply_to_cluster(booster, cluster, force=force_conflicts, dry_run=dry_run == "server")
    if output is None:
        tail = " (server dry run)" if dry_run == "server" else ""
        click.echo(f"{resource_name(applied.stored)} {applied.outcome}{tail}")
    else:
        applied.stored["metadata"].pop("managedFields", None)
        print_booster(applied.stored, output)


_ONLY_FROM = ("image", "engine_release", "model_uri", "cache", "pods")


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _refuse(given: dict[str, Any], reason: str) -> None:
    """Raises UsageError for the first option that is given."""
    for flag, value in given.items():
        if value:
            raise UsageError(f"{flag}: {reason}")


def _from_command(
    command: str,
    name: str | None,
    gpu: tuple[str, ...],
    namespace: str | None,
    about: dict[str, Any],
) -> Object:
    from modelbooster.commandline.draft import draft
    from modelbooster.commandline.reading import Choices

    if len(gpu) > 1 or any("/" not in one for one in gpu):
        raise UsageError("--gpu with --from is one extended resource, for example nvidia.com/gpu")
    made = draft(
        read_text("-") if command == "-" else command,
        Choices(
            name=name,
            namespace=namespace,
            image=about["image"],
            release=about["engine_release"],
            model_uri=about["model_uri"],
            cache_uri=about["cache"],
            resource=gpu[0] if gpu else None,
            pods=about["pods"],
            kthena=about["kthena"],
        ),
        read_text,
    )
    for note in made.notes:
        print_note(f"Note: {note}")
    if made.secrets.keys:
        names = ", ".join(made.secrets.keys)
        print_note(
            f"Note: {names} must not be in a manifest; set the variable in your shell and run: "
            f"{made.secrets.command()}"
        )
    return made.booster


def _from_catalog(
    model: str,
    gpu: tuple[str, ...],
    engine: str | None,
    sets: tuple[str, ...],
    files: tuple[str, ...],
    name: str | None,
    kthena: str | None,
    cluster: dict[str, Any],
) -> Object:
    from app.catalog.parameters import check_values
    from app.catalog.settings import read_values
    from modelbooster.authoring.composing import advice_lines, compose, reason_lines, template_of
    from modelbooster.authoring.devices import named_offers

    template = template_of(model)
    values = read_values({file: read_text(file) for file in files}, sets)
    values |= {"name": name} if name else {}
    values |= {"namespace": cluster["namespace"]} if cluster["namespace"] else {}
    checked = check_values(values)
    offers: list[Offer] | None = None
    if gpu:
        offers = named_offers(gpu, template)
    elif checked.profile is None:
        offers = _offers_of_cluster(template, cluster)
    made = compose(template, checked, offers, engine=engine, kthena=kthena)
    for line in (*reason_lines(template, made.choice), *advice_lines(made.booster)):
        print_note(line)
    return made.booster


def _offers_of_cluster(template: Template, options: dict[str, Any]) -> list[Offer] | None:
    """Returns what the nodes offer; None, with a note why, if the template itself decides."""
    from modelbooster.authoring.devices import cpu_only, nodes_of, offers_and_note
    from modelbooster.observe.access import NoCluster

    if cpu_only(template):
        return None

    async def work(cluster: Cluster) -> Any:
        return await nodes_of(cluster.kube)

    try:
        offers, note = offers_and_note(with_cluster(options, work))
    except NoCluster as exc:
        offers, note = [], str(exc)
    except ApiError as exc:
        if exc.status != 403:
            raise
        offers, note = [], "you may not list the nodes of the cluster"
    if offers:
        if note:
            print_note(note)
        return offers
    print_note(f"{note}; the first profile of the template is taken, --gpu chooses another one")
    return None
