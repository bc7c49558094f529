"""What the command line prints, where, and with which exit code; other tools depend on it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
import yaml

from app.apis.kinds import PROFILES
from app.values.meta import Object
from modelbooster.cli.commands import SUMMARIES
from modelbooster.cli.main import cli, main
from modelbooster.offline.dialect import to_yaml
from tests.builders import backend, booster_object, policy

ROOT = Path(__file__).parents[2]
Said = tuple[int | str | None, str, str]
Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command with objects on its standard input; returns exit code, stdout and stderr."""

    def run(*args: str, stdin: str | list[Object] = "") -> Said:
        text = stdin if isinstance(stdin, str) else to_yaml(stdin)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        with pytest.raises(SystemExit) as ended:
            main(args)
        out = capsys.readouterr()
        return ended.value.code or 0, out.out, out.err

    return run


BAD = booster_object("bad", backend(minReplicas=3, maxReplicas=2))
TWICE_BAD = booster_object("worse", backend(minReplicas=3, maxReplicas=2, routeWeight=0))
CONFIG_MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}


def test_validate_says_what_kubectl_would(run: Run) -> None:
    assert run("validate", "-", stdin=[booster_object("good"), BAD, TWICE_BAD]) == (
        1,
        'stdin:2: ModelBooster "good" is valid\n'
        'stdin:16: The ModelBooster "bad" is invalid: spec.backends[0].minReplicas: '
        "Invalid value: 3: minReplicas cannot be greater than maxReplicas\n"
        'stdin:30: The ModelBooster "worse" is invalid:\n'
        "* spec.backends[0].minReplicas: "
        "Invalid value: 3: minReplicas cannot be greater than maxReplicas\n"
        "* spec.backends: Invalid value: 0: "
        "at least one backend needs a routeWeight greater than 0\n",
        "",
    )


def test_validate_as_json_is_one_object_for_each_document(run: Run) -> None:
    code, out, err = run("validate", "-o", "json", stdin=[booster_object("good"), BAD])
    assert (code, err) == (1, "")
    assert [json.loads(line) for line in out.splitlines()] == [
        {"name": "good", "allowed": True, "causes": [], "warnings": []},
        {
            "name": "bad",
            "allowed": False,
            "causes": [
                {
                    "field": "spec.backends[0].minReplicas",
                    "reason": "FieldValueInvalid",
                    "message": "Invalid value: 3: minReplicas cannot be greater than maxReplicas",
                }
            ],
            "warnings": [],
        },
    ]


def test_without_files_the_standard_input_is_read(run: Run) -> None:
    assert run("validate", stdin=[booster_object("m")])[:2] == (
        0,
        'stdin:2: ModelBooster "m" is valid\n',
    )


def test_other_kinds_and_versions_are_left_out_with_a_note(run: Run) -> None:
    other = {**booster_object("m"), "apiVersion": "registry.volcano.sh/v1alpha1"}
    assert run("validate", stdin=[CONFIG_MAP, other]) == (
        0,
        "",
        'stdin:2: ConfigMap "c" (v1) is no ModelBooster: left out\n'
        'stdin:7: ModelBooster "m" (registry.volcano.sh/v1alpha1) is no ModelBooster: left out\n',
    )


def test_an_unknown_field_is_warned_of_and_refused_if_strict(run: Run) -> None:
    stdin = [booster_object("m", backend(rateLimit=3))]
    warned = run("validate", stdin=stdin)
    assert warned[:2] == (
        0,
        'stdin:2: Warning: unknown field "spec.backends[0].rateLimit"\n'
        'stdin:2: ModelBooster "m" is valid\n',
    )
    assert run("validate", "--strict", stdin=stdin)[:2] == (
        1,
        'stdin:2: The ModelBooster "m" is invalid: '
        'spec.backends[0].rateLimit: unknown field "spec.backends[0].rateLimit"\n',
    )
    code, out, err = run("render", "--strict", stdin=stdin)
    assert (code, out) == (1, "")
    assert 'unknown field "spec.backends[0].rateLimit"' in err


def test_what_a_config_holds_is_never_unknown(run: Run) -> None:
    worker = {"image": "vllm", "config": {"speculative-config": {"model": None, "x": [1]}}}
    stdin = [booster_object("m", backend(workers=[worker]))]
    assert run("validate", "--strict", stdin=stdin)[0] == 0


def test_documents_of_one_call_are_one_cluster(run: Run) -> None:
    code, out, _ = run("validate", stdin=[booster_object("a"), booster_object("b", name="a")])
    assert code == 1
    assert 'spec.name: Duplicate value: "a": modelName is already routed' in out
    apart = [
        booster_object("a"),
        booster_object("b", namespace="elsewhere", name="a"),
    ]
    code, out, _ = run("validate", stdin=apart)
    assert code == 0
    assert out.count('modelName "a" is also routed in another namespace') == 2
    assert run("validate", "-n", "elsewhere", stdin=apart)[0] == 1


def test_a_name_is_needed(run: Run) -> None:
    obj = booster_object("m")
    del obj["metadata"]["name"]
    code, out, _ = run("validate", stdin=[obj])
    assert code == 1
    assert "metadata.name: Required value: name or generateName is required" in out
    obj["metadata"]["generateName"] = "m-"
    assert run("validate", stdin=[obj])[:2] == (0, 'stdin:2: ModelBooster "" is valid\n')


def test_render_prints_the_children_in_their_order(run: Run) -> None:
    scaled = backend("b", minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
    code, out, err = run("render", stdin=[booster_object("m", backend("a"), scaled)])
    assert (code, err) == (0, "")
    children = list(yaml.load_all(out, Loader=yaml.CSafeLoader))
    assert [(c["kind"], c["metadata"]["name"]) for c in children] == [
        ("AutoscalingPolicy", "m-b"),
        ("AutoscalingPolicyBinding", "m-b"),
        ("ModelServing", "m-a"),
        ("ModelServing", "m-b"),
        ("ModelServer", "m-a"),
        ("ModelServer", "m-b"),
        ("ModelRoute", "m"),
    ]
    for child in children:
        assert child["metadata"]["namespace"] == "default"
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("ModelBooster", "m")
        assert owner["uid"] == "00000000-0000-0000-0000-000000000000"


def test_render_keeps_the_uid_that_a_stored_object_has(run: Run) -> None:
    _, out, _ = run("render", stdin=[booster_object("m", metadata={"uid": "u-1"})])
    assert {
        c["metadata"]["ownerReferences"][0]["uid"]
        for c in yaml.load_all(out, Loader=yaml.CSafeLoader)
    } == {"u-1"}


def test_render_as_json_says_the_same(run: Run) -> None:
    stdin = [booster_object("m")]
    _, as_yaml, _ = run("render", stdin=stdin)
    _, as_json, _ = run("render", "-o", "json", stdin=stdin)
    assert [json.loads(line) for line in as_json.splitlines()] == list(
        yaml.load_all(as_yaml, Loader=yaml.CSafeLoader)
    )


def test_render_leaves_out_what_is_refused_and_says_so_elsewhere(run: Run) -> None:
    code, out, err = run("render", stdin=[BAD, booster_object("good")])
    assert code == 1
    assert {c["metadata"]["labels"]["workload.serving.volcano.sh/model-name"]
            for c in yaml.load_all(out, Loader=yaml.CSafeLoader)} == {"good"}  # fmt: skip
    assert err.startswith('stdin:2: The ModelBooster "bad" is invalid: ')


def test_what_is_rendered_can_be_read_again(run: Run) -> None:
    _, out, _ = run("render", stdin=[booster_object("m")])
    code, _, err = run("validate", stdin=out)
    assert code == 0
    assert err.count("is no ModelBooster: left out") == 3


def test_null_and_unknown_fields_change_nothing(run: Run) -> None:
    plain = booster_object("m", backend())
    noisy = booster_object("m", backend(rateLimit=1, cacheURI=None), owner=None)
    noisy["spec"]["backends"][0]["cacheURI"] = None
    assert run("render", stdin=[noisy])[1] == run("render", stdin=[plain])[1]


def test_the_webhooks_default_is_set(run: Run) -> None:
    costly = backend(minReplicas=1, maxReplicas=3, scalingCost=1)
    without = booster_object("m", costly, autoscalingPolicy=policy())
    given = booster_object("m", costly, autoscalingPolicy=policy(), costExpansionRatePercent=200)
    assert run("render", stdin=[without])[1] == run("render", stdin=[given])[1]


@pytest.mark.parametrize("release", PROFILES)
def test_every_release_can_be_named(run: Run, release: str) -> None:
    scaled = backend(minReplicas=1, maxReplicas=3, autoscalingPolicy=policy())
    code, out, _ = run("render", "--kthena", release, stdin=[booster_object("m", scaled)])
    kinds = {c["kind"] for c in yaml.load_all(out, Loader=yaml.CSafeLoader)}
    assert code == 0
    assert ("AutoscalingPolicyBinding" in kinds) == (release != "v1.0.0")


def test_settings_of_the_environment_count(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOOSTER_DOWNLOADER_IMAGE", "registry.example.com/downloader:1")
    assert (
        "image: registry.example.com/downloader:1" in run("render", stdin=[booster_object("m")])[1]
    )


@pytest.mark.parametrize(
    ("args", "stdin", "said"),
    [
        pytest.param(["validate"], "kind: [\n", "Error: stdin:2:1: ", id="no YAML"),
        pytest.param(["validate", "gone.yaml"], "", "Error: gone.yaml: No such file", id="no file"),
        pytest.param(["validate", "--kthena", "v9"], "", "'v9' is not one of", id="no release"),
        pytest.param(["render", "-o", "xml"], "", "'xml' is not one of", id="no such output"),
        pytest.param(["explode"], "", "No such command 'explode'", id="no such command"),
        pytest.param(["crd", "extra"], "", "unexpected extra argument", id="too many arguments"),
    ],
)
def test_a_call_that_cannot_work_ends_with_2(
    run: Run, args: list[str], stdin: str, said: str
) -> None:
    code, out, err = run(*args, stdin=stdin)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err


def test_a_misspelt_setting_ends_with_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELBOOSTER_KV_EVENT", "false")
    code, _, err = run("render", stdin=[booster_object("m")])
    assert code == 2
    assert "did you mean MODELBOOSTER_KV_EVENTS?" in err


def test_crd_prints_the_one_that_the_chart_installs(run: Run) -> None:
    code, out, err = run("crd")
    assert (code, err) == (0, "")
    crd = yaml.load(out, Loader=yaml.CSafeLoader)
    assert (crd["kind"], crd["metadata"]["name"]) == (
        "CustomResourceDefinition",
        "modelboosters.workload.serving.volcano.sh",
    )


def test_every_example_is_valid_and_the_others_are_refused(run: Run) -> None:
    code, out, err = run("validate", "--strict", str(ROOT / "examples"))
    assert (code, err) == (0, "")
    assert out.count(" is valid\n") == len(list((ROOT / "examples").glob("*.yaml")))
    first = str(ROOT / "examples" / "one-backend.yaml")
    for path in (ROOT / "examples" / "refused").iterdir():
        assert run("validate", first, str(path))[0] == 1, path


def test_list_of_commands_says_what_each_says_of_itself() -> None:
    context = click.Context(cli)
    for name, summary in SUMMARIES.items():
        command = cli.get_command(context, name)
        assert command is not None, name
        said = (command.help or "").split("\n\n")[0].replace("\n", " ")
        assert (command.name, said) == (name, summary)
