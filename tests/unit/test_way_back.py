"""``model-booster migrate --check --back`` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from app.values.meta import Object
from modelbooster.cli.main import cli
from tests.builders import backend, booster_object, stored_object, worker

CRDS = Path(__file__).parents[1] / "crds" / "boosters"


def back(tmp_path: Path, release: str, *objects: Object, options: tuple[str, ...] = ()) -> Result:
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    definition = ("--back", str(CRDS / f"{release}.yaml"))
    return CliRunner().invoke(cli, ["migrate", "--check", str(path), *definition, *options])


@pytest.mark.parametrize(
    ("release", "form"),
    [
        ("v0.1.0", {"backends": [backend()]}),
        ("v0.4.0", {"backend": backend()}),
        ("v1.0.0", {"backend": backend(replicas=1)}),
    ],
)
def test_the_form_of_the_release_keeps_every_field(
    tmp_path: Path, release: str, form: Object
) -> None:
    booster = stored_object("a")
    booster["spec"] = form
    said = back(tmp_path, release, booster)
    assert said.exit_code == 0, said.output
    assert said.stdout == (
        "ModelBooster default/a: unchanged\n1 ModelBooster: 0 changed, 1 unchanged\n"
    )


def test_fields_of_another_form_are_named(tmp_path: Path) -> None:
    config = {"free": {"form": [{"stays": 1}]}}
    single = booster_object(
        "single", backend=backend(workers=[worker(config=config)], schedulerName="volcano")
    )
    said = back(tmp_path, "v1.0.0", booster_object("listed"), single, options=("-o", "json"))
    assert said.exit_code == 1, said.output
    listed, other = json.loads(said.stdout)["modelBoosters"]
    assert listed == {
        "namespace": "default",
        "name": "listed",
        "lost": ["spec.backends"],
        "required": ["spec.backend"],
    }
    assert other["lost"] == ["spec.backend.maxReplicas", "spec.backend.minReplicas"]

    text = back(tmp_path, "v1.0.0", booster_object("listed")).stdout
    assert text == (
        "ModelBooster default/listed: changed\n"
        "  loses spec.backends\n"
        "  lacks spec.backend, so edits are rejected until it is set\n"
        "1 ModelBooster: 1 changed, 0 unchanged\n"
    )


def test_a_file_without_the_definition_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(booster_object("a")))
    said = CliRunner().invoke(cli, ["migrate", "--check", str(other), "--back", str(other)])
    text = f"{other}: no CustomResourceDefinition modelboosters.workload.serving.volcano.sh"
    assert str(said.exception).startswith(text)
