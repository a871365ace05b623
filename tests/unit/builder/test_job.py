from __future__ import annotations

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.web_server import (
    Answer,
    WebServer,
)

from modelyard.builder import job
from modelyard.builder.assemble import assemble
from modelyard.builder.log import BuildLog
from modelyard.builder.request_secrets import secrets_of
from modelyard.builder.result import encode_result, failure_result
from modelyard.builder.sources import FetchContext
from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    BuildResult,
    ModelInput,
    Source,
    Step,
)
from modelyard.contract.errors import (
    BuildFailedError,
    PipFailedError,
    RequestInvalidError,
)
from modelyard.oci.errors import RegistryUnavailableError

DIGEST = "sha256:" + "a" * 64
REQUEST = BuildRequest(
    repository="r.example/x",
    tag="t",
    base_image="base:1",
    driver="driver",
    assets=(AssetInput(id="driver", source=Source(content="def run(x): ...")),),
)


class Builder:
    """In the place of the engine's: the job's own work is what is tested."""

    raised: BaseException | None = None

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        content = assemble(request, workspace, context, log)
        log.enter(Step.BUILD)
        log.write("Step 1/1")
        if self.raised:
            raise self.raised
        assert (content.app / content.entry_script).is_file()
        return DIGEST


class Job:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.workspace = folder / "workspace"
        self.environment = {
            "MODELYARD_BUILD_REQUEST": str(folder / "request.json"),
            "MODELYARD_BUILD_WORKSPACE": str(self.workspace),
            "MODELYARD_TERMINATION_LOG": str(folder / "termination-log"),
        }
        for name, value in self.environment.items():
            monkeypatch.setenv(name, value)
        self._patch = monkeypatch

    def run(self, request: BuildRequest = REQUEST, *, raised: BaseException | None = None) -> int:
        (self.folder / "request.json").write_text(request.model_dump_json(by_alias=True))
        self._patch.setattr(Builder, "raised", raised)
        self._patch.setattr(job, "builder_of", lambda kind, settings: Builder())
        return job.run()

    @property
    def result(self) -> BuildResult:
        return BuildResult.model_validate_json((self.folder / "termination-log").read_bytes())


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return Job(tmp_path, monkeypatch)


def test_success(ran: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran.run() == 0
    assert ran.result == BuildResult(digest=DIGEST)
    assert capsys.readouterr().out.splitlines() == [
        "[Fetch] asset driver: inline content",
        "[Fetch] driver: 15 bytes, sha256:febb921bfcf9eb07566be6bdceb339fe61bdf87e2b350049f37589aa9dd5ca17",
        "[Build] Step 1/1",
        f"[Build] pushed r.example/x:t, {DIGEST}",
    ]
    assert list(ran.workspace.iterdir()) == []


def test_a_failure_that_is_explained(ran: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran.run(raised=PipFailedError("pip cannot install x")) == 1
    error = ran.result.error
    assert error is not None
    assert (error.code, error.message, error.step, error.transient) == (
        "PipFailed",
        "pip cannot install x",
        Step.BUILD,
        False,
    )
    assert error.details[-1].message == "Step 1/1"
    assert capsys.readouterr().out.endswith("[Build] PipFailed: pip cannot install x\n")
    assert list(ran.workspace.iterdir()) == []


def test_a_transient_failure(ran: Job) -> None:
    assert ran.run(raised=RegistryUnavailableError("down")) == 1
    assert ran.result.error is not None
    assert ran.result.error.transient


def test_a_fault_of_the_builder(ran: Job, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran.run(raised=ZeroDivisionError("https://h/x?sig=s3cret")) == 70
    assert ran.result.error is not None
    assert ran.result.error.code == "BuilderCrashed"
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "s3cret" not in out + ran.result.model_dump_json()


def test_secrets_are_nowhere(ran: Job, web: WebServer, capsys: pytest.CaptureFixture[str]) -> None:
    web.answer = lambda _: Answer(403)
    credentials = {"username": "model", "password": "s3cret", "header.X": "0ther"}
    source = Source(url=f"{web.url}/m?sig=sas-t0ken", credentials=credentials)
    request = REQUEST.model_copy(update={"models": (ModelInput(name="m", version=1, source=source),)})
    assert ran.run(request) == 1
    said = capsys.readouterr().out + ran.result.model_dump_json()
    assert not [secret for secret in ("s3cret", "0ther", "sas-t0ken") if secret in said]
    assert "model m:1" in said
    assert secrets_of(request) == {"s3cret", "0ther"}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("GOOGLE_SERVICE_ACCOUNT_KEY", {"type": "service_account", "private_key": "-----\ns3cret\n-----\n"}),
        (".dockerconfigjson", {"auths": {"registry.example.com": {"username": "me", "password": "s3cret"}}}),
    ],
)
def test_a_secret_inside_of_json_is_nowhere_either(
    ran: Job, capsys: pytest.CaptureFixture[str], key: str, value: dict[str, object]
) -> None:
    source = Source(url="data:,x", credentials={key: json.dumps(value, indent=1)})
    request = REQUEST.model_copy(update={"models": (ModelInput(name="m", version=1, source=source),)})
    assert ran.run(request, raised=PipFailedError("refused: s3cret")) == 1
    said = capsys.readouterr().out + ran.result.model_dump_json()
    assert "refused: ***" in said
    assert "s3cret" not in said


def test_a_request_may_be_compressed(tmp_path: Path) -> None:
    path = tmp_path / "request.json.gz"
    path.write_bytes(gzip.compress(REQUEST.model_dump_json(by_alias=True).encode()))
    assert job.read_request(path) == REQUEST


def test_a_request_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"repository": {"password": "s3cret"}}))
    with pytest.raises(RequestInvalidError, match="repository: Input should be a valid string") as failure:
        job.read_request(path)
    assert "s3cret" not in str(failure.value)


def test_what_an_earlier_attempt_left_is_removed(ran: Job) -> None:
    (ran.workspace / "build/app").mkdir(parents=True)
    assert ran.run() == 0


def test_sigterm_stops_at_once(tmp_path: Path, web: WebServer) -> None:
    web.answer = lambda _: time.sleep(60) or Answer()  # type: ignore[func-returns-value]
    source = Source(url=f"{web.url}/m")
    request = REQUEST.model_copy(
        update={"builder": BuilderKind.DOCKER, "models": (ModelInput(name="m", version=1, source=source),)}
    )
    (tmp_path / "request.json").write_text(request.model_dump_json(by_alias=True))
    environment = {
        "MODELYARD_BUILD_REQUEST": str(tmp_path / "request.json"),
        "MODELYARD_BUILD_WORKSPACE": str(tmp_path / "workspace"),
        "MODELYARD_TERMINATION_LOG": str(tmp_path / "termination-log"),
    }
    code = "import sys; from modelyard.builder.job import run; sys.exit(run())"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE) as process:
        begun = time.monotonic()
        while not web.asked:
            assert process.poll() is None
            assert time.monotonic() < begun + 30
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        assert process.wait(10) == 143
        assert time.monotonic() - asked < 5
    assert list((tmp_path / "workspace").iterdir()) == []


def _log(*lines: str) -> BuildLog:
    log = BuildLog(io.StringIO())
    for line in lines:
        log.write(line)
    return log


def test_a_result_fits_into_a_termination_message() -> None:
    lines = [f"{number} " + 'é"\\' * 300 for number in range(30)]
    text = encode_result(failure_result(BuildFailedError('"' * 5000), _log(*lines)))
    assert len(text) <= 4096
    error = BuildResult.model_validate_json(text).error
    assert error is not None
    assert error.details[-1].message.startswith("29 ")
    assert len(error.message) == 1500


def test_a_result_keeps_what_fits() -> None:
    error = failure_result(BuildFailedError("m"), _log(*(f"line {number}" for number in range(30)))).error
    assert error is not None
    assert [detail.message for detail in error.details] == [f"line {number}" for number in range(15, 30)]


def test_the_log_is_plain_lines_without_secrets() -> None:
    out = io.StringIO()
    log = BuildLog(out, {"s3cret", "abc"})
    log.write("\x1b[91mred\x1b[0m s3cret abc\n\n  indented https://u:p@h/x?sig=1\r\n")
    assert out.getvalue() == "[Fetch] red *** abc\n[Fetch]   indented https://h/x?…\n"
