"""The command ``crd``."""

from __future__ import annotations

import click


@click.command()
@click.option("--chart", is_flag=True, hidden=True, help="As the template of our Helm chart.")
def crd(chart: bool) -> None:
    """Print the CustomResourceDefinition."""
    from app.apis.crd import chart_template, model_booster_crd
    from modelbooster.offline.dialect import to_yaml

    document = to_yaml([model_booster_crd()])
    click.echo(chart_template(document) if chart else document, nl=False)
