"""What ``render --diff`` prints: which children an edit changes, and whose pods restart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.values.meta import Object
from modelbooster.cli.main import main
from modelbooster.offline.dialect import to_yaml
from tests.builders import backend, booster_object, worker

Said = tuple[int | str | None, str, str]
Diff = Callable[..., Said]


@pytest.fixture
def diff(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Diff:
    """Compares two lists of objects; returns exit code, stdout and stderr."""

    def run(old: list[Object], new: list[Object], *args: str) -> Said:
        paths = [tmp_path / "old.yaml", tmp_path / "new.yaml"]
        for path, objects in zip(paths, (old, new), strict=True):
            path.write_text(to_yaml(objects))
        with pytest.raises(SystemExit) as ended:
            main(["render", "--diff", *map(str, paths), *args])
        out = capsys.readouterr()
        return ended.value.code or 0, out.out, out.err

    return run


OLD = booster_object("demo", backend("a", routeWeight=95), backend("b", routeWeight=5))


def test_an_edit_that_restarts_one_backend(diff: Diff) -> None:
    new = booster_object(
        "demo",
        backend("a", routeWeight=50),
        backend(
            "b",
            routeWeight=5,
            workers=[worker(image="vllm/vllm-openai:v0.10.2", config={"seed": 1})],
        ),
    )

    code, out, err = diff([OLD], [new])

    engine = "spec.template.roles[leader].entryTemplate.spec.containers[engine]"
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        "ModelBooster default/demo:",
        "  change ModelServing demo-b (its pods restart)",
        f'    {engine}.image: "vllm/vllm-openai:v0.9.2" becomes "vllm/vllm-openai:v0.10.2"',
    ]
    assert out.splitlines()[4:] == [
        "  change ModelRoute demo",
        "    spec.rules[default].targetModels[demo-a].weight: 95 becomes 50",
        "  pods restart: backend b",
    ]


def test_a_new_image_that_drops_a_flag_of_the_old_one(diff: Diff) -> None:
    def of(tag: str) -> Object:
        one = worker(image=f"vllm/vllm-openai:{tag}", config={"swap-space": 4})
        return booster_object("demo", backend("a", workers=[one]))

    code, out, err = diff([of("v0.16.0")], [of("v0.33.0")])

    assert code == 0
    assert "workers[0].config.swap-space" in err
    assert "vLLM 0.33.0 has no such flag: gone since 0.18.0" in err
    assert "pods restart: backend a" in out
    assert diff([of("v0.33.0")], [of("v0.33.0")])[0] == 0, "what is stored is never refused"


def test_the_same(diff: Diff) -> None:
    assert diff([OLD], [OLD]) == (0, "ModelBooster default/demo:\n  nothing changes\n", "")


def test_a_stored_object_and_the_file_it_came_from(diff: Diff) -> None:
    """Selectors and labels contain the uid; a file without a uid is not a difference."""
    stored = {**OLD, "metadata": {**OLD["metadata"], "uid": "u-1", "generation": 3}}
    assert diff([stored], [OLD])[1].endswith("nothing changes\n")


def test_one_goes_and_one_comes(diff: Diff) -> None:
    code, out, _ = diff([booster_object("old")], [booster_object("new")])

    assert code == 0
    assert out == (
        "ModelBooster default/old:\n"
        "  delete ModelServing old-b1\n"
        "  delete ModelServer old-b1\n"
        "  delete ModelRoute old\n"
        "  no pod restarts\n"
        "ModelBooster default/new:\n"
        "  create ModelServing new-b1\n"
        "  create ModelServer new-b1\n"
        "  create ModelRoute new\n"
        "  no pod restarts\n"
    )


def test_as_json(diff: Diff) -> None:
    new = booster_object("demo", *OLD["spec"]["backends"], name="chat")

    code, out, _ = diff([OLD], [new], "-o", "json")

    edits = [{"field": "spec.modelName", "old": "demo", "new": "chat"}]
    (change,) = json.loads(out)["changes"]
    assert code == 0
    assert change["verb"] == "replace"
    assert change["kind"] == "ModelRoute"
    assert edits[0] in change["edits"]
    assert json.loads(out)["restarts"] == []


def test_what_is_refused_is_said_and_not_compared(diff: Diff) -> None:
    bad = booster_object("demo", backend("a", minReplicas=3, maxReplicas=2))
    code, out, err = diff([OLD], [bad])

    assert (code, out) == (1, "")
    assert "minReplicas cannot be greater than maxReplicas" in err


def test_a_third_file_is_one_too_many(diff: Diff) -> None:
    code, out, err = diff([OLD], [OLD], "third.yaml")

    assert (code, out) == (2, "")
    assert err == "Error: --diff takes two files, and no others can be named beside it\n"
