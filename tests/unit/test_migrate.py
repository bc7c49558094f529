"""``model-booster migrate --check`` on files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from app.apis.kinds import Profile
from app.convert import desired_children
from app.convert.options import Options
from app.values.meta import Object
from modelbooster.cli.main import cli
from tests import screens
from tests.builders import UID, backend, booster_object, model, stored_object
from tests.upstream import as_kthena_made

EXAMPLES = Path(__file__).parents[1] / "crds" / "examples"


def check(tmp_path: Path, objects: list[Object], *args: str) -> Result:
    path = tmp_path / "objects.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": objects}))
    return CliRunner().invoke(cli, ["migrate", "--check", str(path), *args])


def booster_of(result: Result) -> dict[str, Any]:
    (found,) = json.loads(result.stdout)["modelBoosters"]
    return dict(found)


def served(name: str = "a", generation: int = 1) -> Object:
    metadata = {"generation": generation}
    return {**stored_object(name, metadata=metadata), "status": {"observedGeneration": 1}}


def made_by_us(name: str) -> list[Object]:
    meaning = model(name, backend(), metadata={"uid": UID})
    return [
        {**child.object, "metadata": {**child.object["metadata"], "namespace": "default"}}
        for child in desired_children(meaning, Profile.B, Options())
    ]


def test_model_of_kthena_waits_for_a_restart(tmp_path: Path) -> None:
    booster = served()
    objects = [booster, *as_kthena_made(booster)]

    result = check(tmp_path, objects, "-o", "json")

    assert result.exit_code == 1, result.output
    found = booster_of(result)
    assert (found["verdict"], found["form"]) == ("restarts", "form of kthena v0.1.0")
    assert found["servings"] == [{"name": "a-b1", "effect": "waits"}]
    assert [(c["verb"], c["kind"], c["name"]) for c in found["children"]] == [
        ("change", "ModelServing", "a-b1"),
        ("change", "ModelServer", "a-b1"),
        ("change", "ModelRoute", "a"),
    ]
    server = found["children"][1]["edits"]
    assert {edit["field"] for edit in server} >= {"spec.workloadSelector.matchLabels"} or server

    text = check(tmp_path, objects)
    assert text.exit_code == 1
    screens.check("migrate-check", check(tmp_path, objects, "-o", "wide").stdout)
    assert text.stdout.startswith(
        "ModelBooster default/a (form of kthena v0.1.0): is taken over; its pods restart once, "
        "after you allow it\n  change ModelServing a-b1 ("
    )
    assert text.stdout.endswith(
        "  pods of a-b1: its pods keep their template, and wait for a rollout\n"
        "  to restart the pods that wait: kubectl annotate modelbooster a "
        "workload.serving.volcano.sh/rollout=allow -n default\n"
        "1 ModelBooster: 1 restarts\n"
    )


def test_model_that_is_ours_already(tmp_path: Path) -> None:
    result = check(tmp_path, [served(), *made_by_us("a")])
    assert (result.exit_code, result.stdout) == (
        0,
        "ModelBooster default/a (form of kthena v0.1.0): is taken over unchanged\n"
        "  pods of a-b1: its pods have the same template\n"
        "1 ModelBooster: 1 unchanged\n",
    )


def test_missing_child_is_created(tmp_path: Path) -> None:
    result = check(tmp_path, [served(), *made_by_us("a")[:-1]], "-o", "json")
    found = booster_of(result)
    assert result.exit_code == 0
    assert found["verdict"] == "changes"
    assert found["children"] == [{"verb": "create", "kind": "ModelRoute", "name": "a", "edits": []}]


def test_invalid_model_needs_an_edit(tmp_path: Path) -> None:
    broken = booster_object("a", backend(minReplicas=2, maxReplicas=1), namespace="default")
    result = check(tmp_path, [broken])
    assert result.exit_code == 1
    assert result.stdout == (
        "ModelBooster default/a (form of kthena v0.1.0): needs an edit; its pods stay as they are "
        "until then\n"
        "  edit: spec.backends[0].minReplicas: Invalid value: 2: minReplicas cannot be greater "
        "than maxReplicas\n"
        "1 ModelBooster: 1 edit\n"
    )


def test_model_without_a_backend(tmp_path: Path) -> None:
    """As a write with another definition leaves it."""
    result = check(tmp_path, [booster_object("a", backends=None)], "-o", "json")
    found = booster_of(result)
    assert (found["verdict"], found["form"]) == ("edit", "no backend")


def test_name_that_another_object_has(tmp_path: Path) -> None:
    (route,) = [child for child in made_by_us("a") if child["kind"] == "ModelRoute"]
    metadata = {"name": "a", "namespace": "default", "labels": {}}
    result = check(tmp_path, [served(), {**route, "metadata": metadata}], "-o", "json")
    found = booster_of(result)
    assert (result.exit_code, found["verdict"]) == (1, "conflict")
    assert {"verb": "conflict", "kind": "ModelRoute", "name": "a", "edits": []} in found["children"]


@pytest.mark.parametrize(
    ("release", "form"),
    [
        ("v0.1.0", "form of kthena v0.1.0"),
        ("v0.4.0", "form of kthena v0.2.0 to v0.4.0"),
        ("v1.0.0", "form of kthena v1.0.0"),
    ],
)
def test_published_examples(tmp_path: Path, release: str, form: str) -> None:
    """Each release's own examples; children do not exist yet."""
    for path in sorted((EXAMPLES / release).glob("*.yaml")):
        objects = [doc for doc in yaml.safe_load_all(path.read_text()) if doc]
        result = check(tmp_path, objects, "-o", "json", "--kthena", release)
        for found in json.loads(result.stdout)["modelBoosters"]:
            assert found["form"] == form
            assert found["verdict"] in ("changes", "edit"), path
            assert {c["verb"] for c in found["children"]} <= {"create"}


def test_check_is_required() -> None:
    result = CliRunner().invoke(cli, ["migrate"])
    assert "add --check" in str(result.exception)
