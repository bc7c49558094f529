"""``model-booster render --live``: which pods wait for a rollout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from app.apis.kinds import MODEL_SERVING, Profile
from modelbooster.cli.main import cli
from tests.upgrade import earlier

UID = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A ModelBooster and its ModelServings as an earlier version made them."""
    booster = {**earlier.booster("canary", "ns", UID), "status": {"observedGeneration": 1}}
    booster["metadata"]["generation"] = 1
    servings = [
        child
        for child in earlier.children("canary", Profile.B, "ns", UID)
        if child["kind"] == MODEL_SERVING.kind
    ]
    paths = tmp_path / "booster.yaml", tmp_path / "live.yaml"
    paths[0].write_text(yaml.safe_dump(booster))
    paths[1].write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": servings}))
    return paths


def run(*arguments: object, image: str = "runtime:new") -> Result:
    environment = {"MODELBOOSTER_RUNTIME_IMAGE": image}
    return CliRunner().invoke(cli, ["render", *map(str, arguments)], env=environment)


def test_waiting_pods_and_their_differences_are_printed(files: tuple[Path, Path]) -> None:
    booster, live = files
    result = run(booster, "--live", live)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == [
        "ModelBooster ns/u06:",
        "  ModelServing u06-stable: its pods keep their template, and wait for a rollout",
    ]
    assert (
        "    spec.template.roles[leader].entryTemplate.spec.containers[runtime].image: "
        '"ghcr.io/volcano-sh/runtime:v0.4.0" becomes "runtime:new"' in lines
    )
    assert lines[-1] == (
        "  to restart the pods that wait: kubectl annotate modelbooster u06 "
        "workload.serving.volcano.sh/rollout=allow -n ns"
    )


def test_uid_may_be_missing_in_the_file(files: tuple[Path, Path]) -> None:
    booster, live = files
    obj = yaml.safe_load(booster.read_text())
    del obj["metadata"]["uid"], obj["status"]
    booster.write_text(yaml.safe_dump(obj))
    assert "labels" not in run(booster, "--live", live).stdout


def test_edited_and_allowed_pods_restart(files: tuple[Path, Path]) -> None:
    booster, live = files
    obj = yaml.safe_load(booster.read_text())
    obj["metadata"]["annotations"] = {"workload.serving.volcano.sh/rollout": "allow"}
    booster.write_text(yaml.safe_dump(obj))
    assert "u06-next: its pods restart" in run(booster, "--live", live).stdout
    obj["metadata"] |= {"annotations": {}, "generation": 2}
    booster.write_text(yaml.safe_dump(obj))
    assert "u06-next: its pods restart" in run(booster, "--live", live).stdout


def test_json_and_missing_servings(files: tuple[Path, Path]) -> None:
    booster, live = files
    content = yaml.safe_load(live.read_text())
    live.write_text(yaml.safe_dump({**content, "items": content["items"][:1]}))
    found = json.loads(run(booster, "--live", live, "-o", "json").stdout)
    assert {each["name"]: each["effect"] for each in found["servings"]} == {
        "u06-stable": "waits",
        "u06-next": "created",
    }


def test_diff_and_live_exclude_each_other(files: tuple[Path, Path]) -> None:
    booster, live = files
    result = run("--diff", booster, booster, "--live", live)
    assert result.exit_code != 0
