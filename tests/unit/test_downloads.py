"""What the status says of downloads: from pods, their last words, and lines of their logs."""

from __future__ import annotations

import json

import pytest

from app.values.meta import Object
from controller.status.conditions import deployed
from controller.status.download_status import backend_download, failure_text, new_failures
from controller.status.downloads import (
    Failure,
    PodDownload,
    Progress,
    download_of,
    failure_in,
    progress_in,
)
from controller.status.pod_problems import problem_of
from controller.status.pod_records import pod_record, problem_summary
from controller.status.readiness import BackendReport, Readiness
from downloader.errors import DownloadError, Reason
from downloader.progress.meter import Progress as Written
from downloader.progress.output import Output
from modelbooster.observe.pods.findings import LogRef, logs_wanted, report_pod
from modelbooster.observe.pods.progress import readable, stored_downloads

SOURCE = "hf://owner/model"
ARGS = ["--source", SOURCE, "--output-dir", "/models/1", "--progress", "json"]
RUNNING: Object = {"running": {}}
GATED = Failure("Gated", "owner/model is gated", "accept its licence at https://hub/owner/model")


def words(failure: Failure = GATED) -> str:
    """Returns a termination message of our downloader."""
    data = {"reason": failure.reason, "message": failure.message, "next": failure.step}
    return json.dumps({"result": "failed", "source": SOURCE, **data})


def ended(message: str, code: int = 1) -> Object:
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


def pod(
    state: Object,
    last: Object | None = None,
    *,
    name: str = "p",
    args: list[str] = ARGS,
    restarts: int = 0,
    version: str = "1",
) -> Object:
    """Returns a pod whose one downloader has a state."""
    status = {"name": "model-downloader", "state": state, "restartCount": restarts}
    return {
        "metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": version},
        "spec": {"initContainers": [{"name": "model-downloader", "args": args}]},
        "status": {
            "phase": "Pending",
            "initContainerStatuses": [{**status, "lastState": last or {}}],
            "conditions": [{"type": "PodScheduled", "status": "True"}],
        },
    }


def line(done: int, *, waits_for: str = "") -> str:
    progress: Object = {"bytesDone": done, "bytesTotal": 100, "bytesPerSecond": 5, "file": "a"}
    data: Object = {"type": "progress", "download": {**progress, "secondsLeft": 9}}
    return json.dumps({**data, "waitsFor": waits_for} if waits_for else data)


def record(name: str, log: str = "", **fields: object) -> Object:
    """Returns the record of a pod that downloads, after its log was read."""
    found = pod_record(pod(RUNNING, name=name, **fields))  # type: ignore[arg-type]
    found["download"].progress = progress_in(log)
    return found


@pytest.mark.parametrize(
    ("state", "last", "running", "failure"),
    [
        pytest.param({"waiting": {"reason": "PodInitializing"}}, None, None, None, id="not yet"),
        pytest.param(RUNNING, None, True, None, id="running"),
        pytest.param(ended("", 0), None, None, None, id="whole"),
        pytest.param(ended(words()), None, False, GATED, id="failed"),
        pytest.param(
            {"waiting": {"reason": "CrashLoopBackOff"}}, ended(words()), False, GATED, id="pause"
        ),
        pytest.param(RUNNING, ended(words()), True, GATED, id="again"),
        pytest.param(RUNNING, ended("", 0), True, None, id="again after the node was restarted"),
        pytest.param(
            ended("Traceback\nValueError: no"),
            None,
            False,
            Failure("", "Traceback ValueError: no"),
            id="other words",
        ),
        pytest.param(
            ended("", 137), None, False, Failure("", "it ended with exit code 137"), id="no words"
        ),
    ],
)
def test_download_of_a_pod(
    state: Object, last: Object | None, running: bool | None, failure: Failure | None
) -> None:
    found = download_of(pod(state, last))
    if running is None:
        assert found is None
        return
    assert found == PodDownload("model-downloader", SOURCE, 0, running, True, failure)


@pytest.mark.parametrize(
    ("args", "has_lines"),
    [
        (ARGS, True),
        ([*ARGS, "--progress", "text"], False),
        (ARGS[:4], False),
    ],
)
def test_only_logs_in_the_form_for_programs_are_read(args: list[str], has_lines: bool) -> None:
    found = download_of(pod(RUNNING, args=args))
    assert found is not None
    assert found.has_lines is has_lines


def test_a_container_that_downloads_nothing_does_not_count() -> None:
    assert download_of(pod(RUNNING, args=["--sources", "x"])) is None


def test_the_next_container_counts_when_one_is_done() -> None:
    both = pod(ended("", 0))
    both["spec"]["initContainers"].append({"name": "lora-downloader-0", "args": ARGS})
    more = {"name": "lora-downloader-0", "state": RUNNING, "restartCount": 2}
    both["status"]["initContainerStatuses"].append(more)
    assert download_of(both) == PodDownload("lora-downloader-0", SOURCE, 2, True, True)


def test_progress_is_kept_until_the_container_ends() -> None:
    before = record("p", line(10))
    assert pod_record(pod(RUNNING, version="2"), before)["download"].progress.done == 10
    failed = pod_record(pod(ended(words())), before)
    assert failed["download"].progress is None
    again = pod_record(pod(RUNNING, ended(words()), restarts=1), failed)
    assert again["download"].phase == "Failed"
    again["download"].progress = progress_in(line(11))
    assert again["download"].phase == "Downloading"


def test_what_the_downloader_prints_is_understood(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    termination = f"{tmp_path}/termination-log"
    with open(termination, "w") as file:
        file.write("")
    output = Output(SOURCE, is_json=True, termination=termination)
    output.note("listing")
    output.progress(Written(12, 40, 3, 9, "a.safetensors", 1, 8), waits_for="qwen-0")
    assert progress_in(capsys.readouterr().out) == Progress(12, 40, 3, 9, "a.safetensors", "qwen-0")
    output.failed(DownloadError(Reason.GATED, GATED.message, GATED.step))
    with open(termination) as file:
        assert failure_in(file.read()) == GATED


@pytest.mark.parametrize(
    "log",
    [
        "",
        "Traceback",
        '{"type":"progress"',
        '{"type":"progress","download":{"bytesDone":"1","bytesTotal":2}}',
        '{"type":"progress","download":{"bytesDone":-1,"bytesTotal":2}}',
        '{"type":"progress","download":{"bytesDone":1,"bytesTotal":9223372036854775808}}',
        '{"type":"progress","download":[]}',
        '{"type":"note","message":"listing"}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_other_lines_tell_no_progress(log: str) -> None:
    assert progress_in(log) is None
    last = progress_in(f"{line(7)}\n{log}")
    assert last is not None
    assert last.done == 7


@pytest.mark.parametrize(
    "message", ["", "no", "{", '{"result":"whole"}', '{"result":"failed","reason":1,"message":""}']
)
def test_other_last_words_are_no_failure_of_ours(message: str) -> None:
    assert failure_in(message) is None


def test_a_backend_tells_of_its_slowest_pod() -> None:
    records = [record("a", line(50)), record("b", line(20)), record("c")]
    assert backend_download(records) == {
        "phase": "Downloading",
        "pod": "b",
        "pods": 3,
        "source": SOURCE,
        "bytesDone": 20,
        "bytesTotal": 100,
        "bytesPerSecond": 5,
        "secondsLeft": 9,
        "file": "a",
    }


def test_pods_that_wait_show_the_progress_of_another() -> None:
    downloads, waits = record("b", line(50)), record("a", line(40, waits_for="b"))
    for records, phase in (([waits], "Waiting"), ([waits, downloads], "Downloading")):
        found = backend_download(records)
        assert found is not None
        assert found["phase"] == phase


def test_a_failed_pod_comes_first_with_the_next_step() -> None:
    failed = pod_record(pod(ended(words()), name="z"))
    found = backend_download([record("a", line(1)), failed])
    assert found == {
        "phase": "Failed",
        "pod": "z",
        "pods": 2,
        "source": SOURCE,
        "reason": "Gated",
        "message": str(GATED),
    }
    assert failure_text("b1", found) == f"backend b1 could not fetch {SOURCE}: {GATED}"


def test_a_backend_without_downloads_tells_none() -> None:
    done = pod_record(pod(ended("", 0)))
    assert backend_download([done]) is None
    assert "download" not in BackendReport("b1", "m-b1", Readiness.YES).as_stored()


def test_the_problem_of_a_pod_has_the_words_of_the_downloader() -> None:
    problem = problem_of(pod(ended(words())))
    assert problem is not None
    assert problem.cause == f"model-downloader could not fetch {SOURCE}"
    assert (problem.detail, problem.advice) == (GATED.message, GATED.step)
    summary = problem_summary([pod_record(pod(ended(words())))])
    assert summary == f"pod p: {problem.cause}: {GATED}"


def test_the_condition_tells_why_a_download_failed() -> None:
    download = backend_download([pod_record(pod(ended(words())))])
    backends = (
        BackendReport("b1", "m-b1", Readiness.NO, download=download),
        BackendReport("b2", "m-b2", Readiness.YES),
    )
    assert deployed(backends).active.message == (
        f"1/2 backends ready; not ready: b1; backend b1 could not fetch {SOURCE}: {GATED}"
    )


def test_another_downloader_changes_no_condition() -> None:
    download = backend_download([pod_record(pod(ended("401")))])
    assert download is not None
    assert (download["phase"], download["message"]) == ("Failed", "401")
    assert failure_text("b1", download) == ""


def test_a_failure_is_news_once() -> None:
    def status(failure: Failure | None) -> Object:
        state = RUNNING if failure is None else ended(words(failure))
        download = backend_download([pod_record(pod(state))])
        return {"backendStatuses": [{"name": "b1", "download": download}, {"name": "b2"}]}

    other = Failure("NoSpace", "needs 9 GB", "enlarge the volume")
    text = f"backend b1 could not fetch {SOURCE}: {GATED}"
    assert [*new_failures({}, status(GATED))] == [text]
    assert [*new_failures(status(None), status(GATED))] == [text]
    assert [*new_failures(status(GATED), status(GATED))] == []
    assert [*new_failures(status(GATED), status(None))] == []
    assert len([*new_failures(status(GATED), status(other))]) == 1


def shown(entry: Object | None, log: str = "") -> dict[str, tuple[float, str]]:
    """Returns what ``model-booster status`` shows of the downloads of a pod."""
    logs = {LogRef("model-downloader"): log} if log else None
    report = report_pod(pod(RUNNING), logs, stored=entry)
    return {name: (progress.done, progress.text) for name, progress in report.downloads.items()}


def test_status_shows_the_progress_in_the_status_or_else_in_the_log() -> None:
    entry = backend_download([record("p", line(50))])
    booster = {"status": {"backendStatuses": [{"name": "b1", "download": entry}, {"name": "b2"}]}}
    assert stored_downloads(booster) == {"p": entry}
    bar = (0.5, "50 B of 100 B, 5 B/s, about 9 s left, a")
    assert shown(entry) == {"model-downloader": bar}
    assert shown(None, line(50)) == {"model-downloader": bar}
    waits = shown(None, line(50, waits_for="q"))
    assert waits == {"model-downloader": (0.5, f"waits for q: {bar[1]}")}
    assert logs_wanted(pod(RUNNING), is_told=True) == []
    assert logs_wanted(pod(RUNNING)) == [LogRef("model-downloader")]


def test_status_tells_a_failure_without_the_log() -> None:
    failed = pod(ended(words()))
    assert logs_wanted(failed) == []
    problem = report_pod(failed).problem
    assert problem is not None
    assert problem.why == f"model-downloader could not fetch {SOURCE}: {GATED.message}"
    assert problem.todo == GATED.step


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"type": "note", "time": "T", "message": "listing"}', b"T listing"),
        (b'{"type": "failed", "time": "T", "message": "no", "next": "do"}', b"T no; do"),
        (b'{"type": "note"}', b'{"type": "note"}'),
        (b'{"type": "note"', b'{"type": "note"'),
        (b"12%|#  |", b"12%|#  |"),
        (b"", b""),
    ],
)
def test_lines_for_programs_are_shown_to_people(written: bytes, read: bytes) -> None:
    assert readable(written) == read
