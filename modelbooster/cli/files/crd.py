"""The command ``crd``."""

from __future__ import annotations

import click


@click.command()
@click.option("--chart", is_flag=True, hidden=True, help="As the template of our Helm chart.")
def crd(chart: bool) -> None:
    """Print the CustomResourceDefinition."""
    from app.apis.crd import model_booster_crd
    from modelbooster.offline.dialect import to_yaml

    document = to_yaml([model_booster_crd()])
    click.echo(chart_template(document) if chart else document, nl=False)


def chart_template(document: str) -> str:
    """Returns the CRD as a template of the chart that uses crds.install and crds.keep.

    Args:
        document: the CRD as YAML, with its keys in the order of ``model_booster_crd``.
    """
    text = document.replace("{{", '{{ "{{" }}')
    head, _, rest = text.partition("metadata:\n")
    return (
        '{{- /* Generated from app/apis by "make generate"; do not edit. */ -}}\n'
        "{{- if .Values.crds.install }}\n"
        f"{head}metadata:\n"
        "  {{- if .Values.crds.keep }}\n"
        "  annotations:\n"
        "    helm.sh/resource-policy: keep\n"
        "  {{- end }}\n"
        '  labels: {{- include "model-booster.labels" (list . "") | nindent 4 }}\n'
        f"{rest}"
        "{{- end }}\n"
    )
