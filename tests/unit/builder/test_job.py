"""The build Job."""

from __future__ import annotations

import base64
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.builder import job
from modelyard.builder.assemble import assemble
from modelyard.builder.job_settings import BuildJobSettings
from modelyard.builder.log import BuildLog
from modelyard.builder.request_secrets import secrets_of
from modelyard.builder.sources.context import FetchContext
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


class FakeBuilder:
    """Replaces both builders: the tests are about the work of the Job around a builder."""

    raised: BaseException | None = None

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        content = assemble(request, workspace, context, log)
        log.enter(Step.BUILD)
        log.write("Step 1/1")
        if self.raised:
            raise self.raised
        assert (content.app / content.entry_script).is_file()
        return DIGEST


class BuildJob:
    """A build Job in this process, with its files in one folder."""

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
        self._patch.setattr(FakeBuilder, "raised", raised)
        self._patch.setattr(job, "builder_of", self._builder_of)
        return job.run()

    def _builder_of(self, kind: BuilderKind, settings: BuildJobSettings, container: object) -> FakeBuilder:
        self.settings = settings
        return FakeBuilder()

    @property
    def result(self) -> BuildResult:
        return BuildResult.model_validate_json((self.folder / "termination-log").read_bytes())


@pytest.fixture
def build_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BuildJob:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return BuildJob(tmp_path, monkeypatch)


def test_successful_build_reports_the_digest(build_job: BuildJob, capsys: pytest.CaptureFixture[str]) -> None:
    assert build_job.run() == 0
    assert build_job.result == BuildResult(digest=DIGEST)
    assert capsys.readouterr().out.splitlines() == [
        "[Fetch] asset driver: inline content",
        "[Fetch] driver: 15 bytes, sha256:febb921bfcf9eb07566be6bdceb339fe61bdf87e2b350049f37589aa9dd5ca17",
        "[Build] Step 1/1",
        f"[Build] pushed r.example/x:t, {DIGEST}",
    ]
    assert list(build_job.workspace.iterdir()) == []


def test_packages_of_conda_are_chosen_for_the_version_of_cuda(build_job: BuildJob) -> None:
    build_job.run()
    assert "__cuda" not in build_job.settings.conda.virtual_packages
    build_job.run(REQUEST.model_copy(update={"cuda_version": "12.4"}))
    assert build_job.settings.conda.virtual_packages["__cuda"] == "12.4"


def test_coded_error_is_reported_with_its_step(
    build_job: BuildJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_job.run(raised=PipFailedError("pip cannot install x")) == 1
    error = build_job.result.error
    assert error is not None
    assert (error.code, error.message, error.step, error.transient) == (
        "PipFailed",
        "pip cannot install x",
        Step.BUILD,
        False,
    )
    assert error.details[-1].message == "Step 1/1"
    assert capsys.readouterr().out.endswith("[Build] PipFailed: pip cannot install x\n")
    assert list(build_job.workspace.iterdir()) == []


def test_transient_error_is_reported_as_transient(build_job: BuildJob) -> None:
    assert build_job.run(raised=RegistryUnavailableError("down")) == 1
    assert build_job.result.error is not None
    assert build_job.result.error.transient


def test_defect_of_the_builder_is_reported_without_secrets(
    build_job: BuildJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build_job.run(raised=ZeroDivisionError("https://h/x?sig=s3cret")) == 70
    assert build_job.result.error is not None
    assert build_job.result.error.code == "BuilderCrashed"
    out = capsys.readouterr().out
    assert "Traceback" in out
    assert "s3cret" not in out + build_job.result.model_dump_json()


class PanicException(BaseException):
    """Stands for a panic, whose class no module exports."""


def test_panic_of_a_library_is_reported(build_job: BuildJob) -> None:
    assert build_job.run(raised=PanicException("called unwrap on None")) == 70
    assert build_job.result.error is not None
    assert build_job.result.error.code == "BuilderCrashed"


def test_stopped_build_writes_no_result(build_job: BuildJob) -> None:
    with pytest.raises(SystemExit):
        build_job.run(raised=SystemExit(143))
    assert not (build_job.folder / "termination-log").exists()


def test_secrets_are_in_neither_log_nor_result(
    build_job: BuildJob, web: WebServer, capsys: pytest.CaptureFixture[str]
) -> None:
    web.respond = lambda _: Response(403)
    credentials = {"username": "model", "password": "s3cret", "header.X": "0ther"}
    source = Source(url=f"{web.url}/m?sig=sas-t0ken", credentials=credentials)
    request = REQUEST.model_copy(update={"models": (ModelInput(name="m", version=1, source=source),)})
    assert build_job.run(request) == 1
    output = capsys.readouterr().out + build_job.result.model_dump_json()
    assert not [secret for secret in ("s3cret", "0ther", "sas-t0ken") if secret in output]
    assert "model m:1" in output
    assert {"s3cret", "0ther", "sas-t0ken"} <= secrets_of(request)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("GOOGLE_SERVICE_ACCOUNT_KEY", {"type": "service_account", "private_key": "-----\ns3cret\n-----\n"}),
        (".dockerconfigjson", {"auths": {"registry.example.com": {"username": "me", "password": "s3cret"}}}),
    ],
)
def test_secrets_inside_json_are_in_neither_log_nor_result(
    build_job: BuildJob, capsys: pytest.CaptureFixture[str], key: str, value: dict[str, object]
) -> None:
    source = Source(url="data:,x", credentials={key: json.dumps(value, indent=1)})
    request = REQUEST.model_copy(update={"models": (ModelInput(name="m", version=1, source=source),)})
    assert build_job.run(request, raised=PipFailedError("refused: s3cret")) == 1
    output = capsys.readouterr().out + build_job.result.model_dump_json()
    assert "refused: ***" in output
    assert "s3cret" not in output


def test_registry_login_of_the_platform_is_in_neither_log_nor_result(
    build_job: BuildJob, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = build_job.folder / "config.json"
    auth = base64.b64encode(b"robot:pl4tform").decode()
    config.write_text(json.dumps({"auths": {"r.example": {"auth": auth}}}))
    monkeypatch.setenv("MODELYARD_REGISTRY_CONFIG", str(config))
    assert build_job.run(raised=PipFailedError(f"refused: pl4tform, Basic {auth}")) == 1
    output = capsys.readouterr().out + build_job.result.model_dump_json()
    assert "refused: ***, Basic ***" in output
    config.write_bytes(b"\xff")
    assert build_job.run() == 0


def test_compressed_request_is_read(tmp_path: Path) -> None:
    path = tmp_path / "request.json.gz"
    path.write_bytes(gzip.compress(REQUEST.model_dump_json(by_alias=True).encode()))
    assert job.read_request(path) == REQUEST


def test_malformed_request_is_invalid_without_its_content(tmp_path: Path) -> None:
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"repository": {"password": "s3cret"}}))
    with pytest.raises(RequestInvalidError, match="repository: Input should be a valid string") as failure:
        job.read_request(path)
    assert "s3cret" not in str(failure.value)


def test_files_of_an_earlier_attempt_are_removed(build_job: BuildJob) -> None:
    (build_job.workspace / "build/app").mkdir(parents=True)
    assert build_job.run() == 0


def test_sigterm_stops_the_build_and_empties_the_workspace(tmp_path: Path, web: WebServer) -> None:
    web.respond = lambda _: time.sleep(60) or Response()  # type: ignore[func-returns-value]
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
        while not web.requests:
            assert process.poll() is None
            assert time.monotonic() < begun + 30
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        signalled = time.monotonic()
        assert process.wait(10) == 143
        assert time.monotonic() - signalled < 5
    assert list((tmp_path / "workspace").iterdir()) == []
