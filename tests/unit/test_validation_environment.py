"""Rules about environment variables that cannot be compared with a real API server.

``tests/component/test_pod_twins.py`` compares all the others with the server.
"""

from __future__ import annotations

import pytest

from app.apis.kinds import Profile
from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, disaggregated, stored_object, worker

ENV = "spec.backends[0].env[0]"
SOURCE: Object = {"configMapKeyRef": {"name": "a", "key": "k"}}


def said(*backends: Object, profile: Profile | None = None) -> list[str]:
    verdict = validate(stored_object("demo", *backends), Context(profile=profile))
    return [*map(str, verdict.faults), *verdict.warnings]


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        pytest.param({"name": "RUNTIME_URL", "value": "http://localhost:1"}, [], id="an address"),
        pytest.param(
            {"name": "RUNTIME_URL"},
            [f"{ENV}.value: Required value: the address under which the sidecar finds the engine"],
            id="no address",
        ),
        pytest.param(
            {"name": "RUNTIME_URL", "value": ""},
            [f"{ENV}.value: Required value: the address under which the sidecar finds the engine"],
            id="an empty address",
        ),
        pytest.param(
            {"name": "RUNTIME_URL", "valueFrom": SOURCE},
            [
                f"{ENV}.valueFrom: Forbidden: RUNTIME_URL becomes an argument of the sidecar, "
                "so it must be a value"
            ],
            id="an address from elsewhere",
        ),
        pytest.param({"name": "RUNTIME_METRICS_PATH", "value": ""}, [], id="an empty path"),
        pytest.param(
            {"name": "RUNTIME_METRICS_PATH", "valueFrom": SOURCE},
            [
                f"{ENV}.valueFrom: Forbidden: RUNTIME_METRICS_PATH becomes an argument of the "
                "sidecar, so it must be a value"
            ],
            id="a path from elsewhere",
        ),
        pytest.param({"name": "RUNTIME_PORT", "value": "8200"}, [], id="a port"),
        pytest.param(
            {"name": "RUNTIME_PORT", "value": "http"},
            [f"{ENV}: RUNTIME_PORT is no number here; the sidecar listens on 8100"],
            id="no port",
        ),
        pytest.param(
            {"name": "RUNTIME_PORT", "valueFrom": SOURCE},
            [f"{ENV}: RUNTIME_PORT is no number here; the sidecar listens on 8100"],
            id="a port from elsewhere",
        ),
        pytest.param({"name": "HF_ENDPOINT", "valueFrom": SOURCE}, [], id="another variable"),
        pytest.param({"name": "A", "value": "", "valueFrom": SOURCE}, [], id="an empty value"),
    ],
)
def test_sidecar_variables(entry: Object, want: list[str]) -> None:
    assert said(backend(env=[entry])) == want


FILE: Object = {"volumeName": "dshm", "path": "a/env", "key": "A"}
NEEDED = f"{ENV}.valueFrom.fileKeyRef: pods are refused unless the cluster has the feature EnvFiles"


@pytest.mark.parametrize(
    ("reference", "cache", "want"),
    [
        pytest.param({}, None, NEEDED, id="shared memory"),
        pytest.param({"volumeName": "weights"}, None, NEEDED, id="weights of one pod"),
        pytest.param(
            {"volumeName": "weights"},
            "pvc://claim",
            f'{ENV}.valueFrom.fileKeyRef.volumeName: Unsupported value: "weights": supported '
            'values: "dshm"',
            id="weights of a claim",
        ),
        pytest.param(
            {"volumeName": "other"},
            None,
            f'{ENV}.valueFrom.fileKeyRef.volumeName: Unsupported value: "other": supported '
            'values: "dshm", "weights"',
            id="no volume of ours",
        ),
        pytest.param(
            {"path": "a/../b"},
            None,
            f"{ENV}.valueFrom.fileKeyRef.path: Invalid value: \"a/../b\": must not contain '..'",
            id="a way up",
        ),
        pytest.param({"path": "a..b"}, None, NEEDED, id="dots in a name"),
        pytest.param(
            {"path": ""}, None, f"{ENV}.valueFrom.fileKeyRef.path: Required value", id="no path"
        ),
        pytest.param(
            {"key": ""}, None, f"{ENV}.valueFrom.fileKeyRef.key: Required value", id="no key"
        ),
        pytest.param(
            {"key": "A=B"},
            None,
            f'{ENV}.valueFrom.fileKeyRef.key: Invalid value: "A=B": a valid environment variable '
            "name must consist only of printable ASCII characters other than '='",
            id="no name of a variable",
        ),
    ],
)
def test_file_key_ref(reference: Object, cache: str | None, want: str) -> None:
    entry = {"name": "A", "valueFrom": {"fileKeyRef": {**FILE, **reference}}}
    assert said(backend(env=[entry], cacheURI=cache), profile=Profile.B) == [want]


def test_kthena_v0_1_0_rejects_file_key_ref() -> None:
    entry = {"name": "A", "valueFrom": {"fileKeyRef": FILE}}
    detail = "Forbidden: kthena v0.1.0, which is installed, does not know it"
    assert said(backend(env=[entry]), profile=Profile.A) == [
        f"{ENV}.valueFrom.fileKeyRef: {detail}"
    ]


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        pytest.param("A.b-C_1", True, id="plain"),
        pytest.param("1A", False, id="a digit first"),
        pytest.param("a b", False, id="a blank"),
        pytest.param("..a", False, id="two dots first"),
        pytest.param(".a", True, id="one dot first"),
        pytest.param(".", False, id="a dot"),
    ],
)
def test_variable_names_that_need_kubernetes_1_32(name: str, plain: bool) -> None:
    of = f'"{name}" are refused by Kubernetes before 1.32'
    named, prefixed = [{"name": name}], [{"prefix": name, "secretRef": {"name": "a"}}]
    wanted = [f"{ENV}.name: pods with {of}", f"spec.backends[0].envFrom[0].prefix: pods with {of}"]
    assert said(backend(env=named, envFrom=prefixed)) == ([] if plain else wanted)


def test_all_invalid_quantities_are_reported() -> None:
    huge = "1" * 101
    faults = said(
        backend(
            workers=[worker(resources={"limits": {"cpu": huge}, "requests": {"cpu": "1e99999"}})]
        )
    )
    at, detail = (
        "spec.backends[0].workers[0].resources",
        "must be an amount such as 500m, 2 or 16Gi",
    )
    assert faults == [
        f'{at}.limits[cpu]: Invalid value: "{huge}": {detail}',
        f'{at}.requests[cpu]: Invalid value: "1e99999": {detail}',
    ]


BROKEN: Object = {
    "env": [{"name": "A", "value": "a", "valueFrom": SOURCE}],
    "runtimeClassName": "NVIDIA",
}


def test_update_is_rejected_only_for_new_faults() -> None:
    """A stored fault does not block an update, as with every rule."""
    stored = stored_object("demo", backend(**BROKEN))
    moved = stored_object("demo", backend("other"), backend(**BROKEN), owner="me")
    worse = stored_object("demo", backend(**{**BROKEN, "envFrom": [{}]}))
    assert validate(moved, Context(), old=stored).faults == ()
    (fault,) = validate(worse, Context(), old=stored).faults
    assert str(fault.path) == "spec.backends[0].envFrom[0]"
    assert len(validate(stored, Context()).faults) == 2


def test_unserved_backends_are_not_checked() -> None:
    assert said(backend(type="MindIE", **BROKEN)) == [
        "spec.backends[0].type: MindIE is not served yet; nothing is made for it, because "
        "kthena's ModelServer knows only vLLM and SGLang"
    ]


def test_every_worker_is_checked() -> None:
    resources = {"limits": {"gpu": 1}}
    workers = [worker("prefill", resources=resources), worker("decode", resources=resources)]
    assert [text.partition(":")[0] for text in said(disaggregated(workers=workers))] == [
        f"spec.backends[0].workers[{position}].resources.limits[gpu]" for position in (0, 1)
    ]
    single = booster_object(backend=backend(envFrom=[{}]))
    (fault,) = validate(single, Context()).faults
    assert str(fault.path) == "spec.backend.envFrom[0]"
