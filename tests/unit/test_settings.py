"""What the environment may say, and what is said when it says something else."""

from __future__ import annotations

import pytest

from app.apis.kinds import Profile
from app.convert.options import Options
from app.errors import UsageError
from app.model.storage import HOST_PATH_PREFIXES
from modelbooster.settings import PREFIX, Settings, read_settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def test_nothing_needs_to_be_set() -> None:
    settings = read_settings()
    assert settings.options == Options(cache_warmup=False)
    assert settings.profile is None
    assert (settings.webhook_port, settings.probe_port) == (9443, 8080)


@pytest.mark.parametrize(
    ("name", "value", "field", "want"),
    [
        pytest.param("NAMESPACES", "a, b,", "namespaces", ("a", "b"), id="names by commas"),
        pytest.param("NAMESPACES", "", "namespaces", (), id="empty counts as absent"),
        pytest.param("WORKERS", "", "workers", 16, id="empty number counts as absent"),
        pytest.param("KV_EVENTS", "false", "kv_events", False, id="switch"),
        pytest.param("LEASE_SECONDS", "30", "lease_seconds", 30.0, id="duration"),
        pytest.param(
            "DOWNLOADER_ARGS", '["--max-workers", "4"]', "downloader_args",
            ("--max-workers", "4"), id="arguments",
        ),
        pytest.param(
            "DOWNLOADER_RESOURCES", '{"limits": {"cpu": "1"}}', "downloader_resources",
            {"limits": {"cpu": "1"}}, id="resources",
        ),
        pytest.param("KTHENA_RELEASE", "v1.0.0", "profile", Profile.C, id="release"),
        pytest.param(
            "HOST_PATH_PREFIXES", "", "host_path_prefixes", HOST_PATH_PREFIXES, id="usual folders"
        ),
        pytest.param("HOST_PATH_PREFIXES", "none", "host_path_prefixes", (), id="no folder"),
        pytest.param(
            "HOST_PATH_PREFIXES", "/a/, //", "host_path_prefixes", ("/a", "/"), id="every folder"
        ),
        pytest.param(
            "WEBHOOK_URL_HOST", "2001:DB8::1", "webhook_url_host", "2001:db8::1", id="address"
        ),
        pytest.param("WEBHOOK_URL_HOST", "a.example", "webhook_url_host", "a.example", id="host"),
        pytest.param(
            "STATE_METADATA", '{"labels": {"a": "b"}}', "state_metadata",
            {"labels": {"a": "b"}}, id="metadata",
        ),
    ],
)  # fmt: skip
def test_what_a_variable_means(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, want: object
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    assert getattr(read_settings(), field) == want


@pytest.mark.fault("F47")
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        pytest.param(
            {"LEASE_SECOND": "15"},
            "MODELBOOSTER_LEASE_SECOND is no setting; did you mean MODELBOOSTER_LEASE_SECONDS?",
            id="misspelt",
        ),
        pytest.param({"XYZZY": ""}, "MODELBOOSTER_XYZZY is no setting", id="like nothing we know"),
        pytest.param(
            {"HOST_PATH_PREFIXES": "/a,/b/.."},
            "MODELBOOSTER_HOST_PATH_PREFIXES='/a,/b/..': "
            "'/b/..' must be an absolute path without '..' segments",
            id="upwards",
        ),
        pytest.param(
            {"STATE_METADATA": '{"name": {}}'},
            "MODELBOOSTER_STATE_METADATA='name': "
            "String should match pattern '^(labels|annotations)$'",
            id="more than marks",
        ),
        pytest.param(
            {"WEBHOOK_PORT": "0"},
            "MODELBOOSTER_WEBHOOK_PORT='0': Input should be greater than or equal to 1",
            id="out of range",
        ),
        pytest.param(
            {"KTHENA_RELEASE": "v0.9.0"},
            "MODELBOOSTER_KTHENA_RELEASE='v0.9.0': "
            "must be one of v0.1.0, v0.2.0, v0.3.0, v0.4.0, v1.0.0",
            id="no such release",
        ),
        pytest.param(
            {"DOWNLOADER_ARGS": "--fast"},
            "MODELBOOSTER_DOWNLOADER_ARGS='--fast': not JSON: "
            "Expecting value: line 1 column 1 (char 0)",
            id="not JSON",
        ),
        pytest.param(
            {"DOWNLOADER_RESOURCES": '{"limits": {"cpu": "one"}}'},
            """MODELBOOSTER_DOWNLOADER_RESOURCES='{"limits": {"cpu": "one"}}': """
            "limits.cpu must be an amount such as 500m, 2 or 16Gi",
            id="no amount",
        ),
        pytest.param(
            {"DOWNLOADER_RESOURCES": '{"limits": 1}'},
            """MODELBOOSTER_DOWNLOADER_RESOURCES='{"limits": 1}': limits cannot be read""",
            id="no resources",
        ),
        pytest.param(
            {"DOWNLOADER_RESOURCES": '{"limit": {"cpu": "1"}}'},
            """MODELBOOSTER_DOWNLOADER_RESOURCES='{"limit": {"cpu": "1"}}': """
            "holds something besides limits, requests and claims",
            id="misspelt resources",
        ),
        pytest.param(
            {"LEASE_SECONDS": "10"},
            "MODELBOOSTER_LEASE_SECONDS must be greater than MODELBOOSTER_LEASE_RENEW_SECONDS, "
            "and that greater than 1.2 times MODELBOOSTER_LEASE_RETRY_SECONDS",
            id="a lease that two could hold",
        ),
        pytest.param(
            {"CERTIFICATE_MODE": "provided"},
            "MODELBOOSTER_CERTIFICATE_DIR is needed with MODELBOOSTER_CERTIFICATE_MODE=provided",
            id="certificates from nowhere",
        ),
        pytest.param(
            {"PORT": "1", "WORKERS": "many"},
            "MODELBOOSTER_PORT is no setting; did you mean MODELBOOSTER_PROBE_PORT?; "
            "MODELBOOSTER_WORKERS='many': "
            "Input should be a valid integer, unable to parse string as an integer",
            id="all faults at once",
        ),
    ],
)
def test_what_cannot_be_used_is_named(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(UsageError) as caught:
        read_settings()
    assert str(caught.value) == said


def test_other_programs_variables_are_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL_BOOSTER_SERVICE_HOST", "10.0.0.1")
    assert read_settings() == Settings()
