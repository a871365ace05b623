"""The Docker builder against an HTTP server that answers like a Docker engine."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.builder.docker.docker_builder import DockerBuilder
from modelyard.builder.layout import ImageContent, PlacedModel
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.contract import build_progress
from modelyard.contract.build_request import (
    AssetInput,
    BuildRequest,
    Source,
    Step,
)
from modelyard.contract.errors import (
    BuildFailedError,
    BuildStepFailedError,
    EngineUnavailableError,
    PipFailedError,
)
from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.retry import Retry

DIGEST = "sha256:" + "a" * 64
BASE_ID = "sha256:" + "b" * 64
BASE_DIGEST = "sha256:" + "c" * 64
REQUEST = BuildRequest(
    repository="r.example/x",
    tag="t",
    base_image="base:1",
    driver="driver",
    assets=(AssetInput(id="driver", source=Source(content="")),),
    labels={"a": "b"},
)
BUILT = [
    {"stream": "Step 1/1 : FROM base:1"},
    {"stream": "\n ---> 39a5d63366d5\n"},
    {"stream": "Removing intermediate container 39a5d63366d5\n ---> 39a5d63366d5\n"},
    {"aux": {"ID": "sha256:1"}},
]
PUSHED = [
    {"status": "Pushing", "id": "1", "progressDetail": {"current": 1}},
    {"status": "Pushing", "id": "1", "progressDetail": {"current": 2}},
    {"status": "t: digest: …"},
    {"progressDetail": {}, "aux": {"Tag": "t", "Digest": DIGEST}},
]
REFUSED = [{"error": "dial tcp: connect: connection refused"}]


class Engine:
    """Answers /build with `build_answer` and each /push with the next of `push_answers`."""

    def __init__(self, web: WebServer, folder: Path, retry: Retry) -> None:
        self.build_answer: list[dict[str, object]] | Response = BUILT
        self.push_answers: list[list[dict[str, object]] | Response] = [PUSHED]
        self.base_digests = [f"r.example/base@{BASE_DIGEST}"]
        self.out = io.StringIO()
        self.log = BuildLog(self.out)
        self.builder = DockerBuilder(
            host=f"tcp://{web.address}",
            network="host",
            proxies={"HTTPS_PROXY": "http://p:1"},
            retry=retry,
            attests=False,
        )
        self.workspace = folder
        web.respond = self._respond

    def publish(self, request: BuildRequest = REQUEST) -> str:
        return self.builder.publish(request, self.workspace, FetchContext(), self.log)

    def _respond(self, request: Request) -> Response:
        if request.path == "/version":
            return Response(body=b'{"ApiVersion": "1.41"}')
        if "/containers/create" in request.path:
            return Response(201, b'{"Id": "c1"}')
        if "/archive?" in request.path:
            return Response(404, b'{"message": "no such folder"}')
        if "/images/" in request.path and request.path.endswith("/json"):
            return Response(body=json.dumps({"Id": BASE_ID, "RepoDigests": self.base_digests}).encode())
        if "/tag?" in request.path or request.method == "DELETE":
            return Response(201 if request.method == "POST" else 200, b"[]")
        answer = self.build_answer if "/build" in request.path else self.push_answers.pop(0)
        if isinstance(answer, Response):
            return answer
        return Response(body=b"\r\n".join(json.dumps(message).encode() for message in answer), chunked=True)


@pytest.fixture
def engine(web: WebServer, tmp_path: Path, retry: Retry) -> Engine:
    return Engine(web, tmp_path, retry)


def test_build_returns_the_digest_that_the_engine_pushed(engine: Engine, web: WebServer) -> None:
    assert engine.publish() == DIGEST
    requests = {request.path.partition("?")[0]: request.path for request in web.requests}
    build = requests["/v1.41/build"]
    assert "t=r.example%2Fx%3At" in build
    assert "networkmode=host" in build
    assert "forcerm=True" in build
    assert "buildargs=%7B%22HTTPS_PROXY%22%3A+%22http%3A%2F%2Fp%3A1%22%7D" in build
    assert "labels=%7B%22a%22%3A+%22b%22%7D" in build
    assert engine.out.getvalue().count("Pushing") == 1
    assert engine.out.getvalue().startswith(
        "[Fetch] asset driver: inline content\n[Build] Step 1/1 : FROM base:1\n[Push]"
    )


@pytest.mark.parametrize("has_digest", [True, False], ids=["base in a registry", "base on the engine only"])
def test_attested_build_gets_its_tag_after_its_documents(
    engine: Engine, web: WebServer, fake: FakeRegistry, has_digest: bool
) -> None:
    engine.base_digests = engine.base_digests if has_digest else []
    manifest = json.dumps({"mediaType": OCI_MANIFEST}).encode()
    digest = digest_of(manifest)
    fake.manifests["x", digest] = fake.manifests["x", "t-unattested"] = manifest
    engine.push_answers = [[{"aux": {"Digest": digest}}]]
    engine.builder = replace(engine.builder, attests=True)

    request = REQUEST.model_copy(update={"repository": f"{fake.address}/x"})
    assert engine.publish(request) == digest

    tagged = [call.path for call in fake.requests("PUT") if "/manifests/" in call.path]
    assert tagged[-1] == "/v2/x/manifests/t"
    statements = [blob for blob in fake.blobs.values() if b"resolvedDependencies" in blob]
    base = BASE_DIGEST if has_digest else BASE_ID
    assert [base.removeprefix("sha256:").encode() in statement for statement in statements] == [True]
    removed = [
        (request.method, request.path.partition("?")[0])
        for request in web.requests
        if request.method == "DELETE"
    ]
    assert removed == [
        ("DELETE", f"/v1.41/images/{fake.address}/x:t-unattested"),
        ("DELETE", "/v1.41/containers/c1"),
    ]


def test_settings_are_part_of_the_build_context_only_if_they_exist(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("certificate")
    (tmp_path / "pip.conf").write_text("[global]")
    content = ImageContent(
        models=(PlacedModel(tmp_path / "m", "/var/azureml-models/m"),),
        app=tmp_path / "app",
        entry_script="driver.py",
        model_dir=None,
        requirements="numpy",
    )
    bare = engine.builder._context(REQUEST, replace(content, models=(), requirements=None), None)
    builder = replace(engine.builder, ca_bundle=tmp_path / "ca.pem", pip_conf=tmp_path / "pip.conf")
    full = builder._context(REQUEST, content, None)
    assert set(full) - set(bare) == {"settings/ca.pem", "settings/pip.conf", "requirements.txt", "models/0"}
    assert full["settings/ca.pem"] == b"certificate"


@pytest.mark.parametrize("shares", [False, True])
def test_build_steps_get_logins_only_if_the_platform_shares_them(
    engine: Engine, tmp_path: Path, shares: bool
) -> None:
    conf = "[global]\nindex-url = https://me:p@ss@index.example/simple\nextra-index-url=\n  https://you@h/\n"
    (tmp_path / "pip.conf").write_text(conf)
    content = ImageContent(
        models=(), app=tmp_path, entry_script="driver.py", model_dir=None, requirements="numpy"
    )
    builder = replace(engine.builder, pip_conf=tmp_path / "pip.conf", shares_credentials=shares)
    text = builder._context(REQUEST, content, None)["settings/pip.conf"]
    stripped = "[global]\nindex-url = https://index.example/simple\nextra-index-url=\n  https://h/\n"
    assert text == (conf if shares else stripped).encode()
    assert builder._shared("http://me:secret@proxy:3128") == (
        "http://me:secret@proxy:3128" if shares else "http://proxy:3128"
    )


def test_push_progress_sums_the_bytes_of_all_layers(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_progress, "PAUSE_SECONDS", 0)
    reports = [("1", 1024, 2048), ("2", 0, 4096), ("1", 3000, 2048), ("2", 1024, 4096)]
    engine.push_answers = [
        [
            {"status": "Pushing", "id": layer, "progressDetail": {"current": current, "total": total}}
            for layer, current, total in reports
        ]
        + PUSHED
    ]
    engine.publish()
    lines = [line for line in engine.out.getvalue().splitlines() if " of " in line]
    assert lines == [
        f"[Push] layers: {amount}"
        for amount in ("1 KiB of 2 KiB", "1 KiB of 6 KiB", "2 KiB of 6 KiB", "3 KiB of 6 KiB")
    ]


def test_push_is_repeated_until_the_registry_is_back(engine: Engine, waits: list[float]) -> None:
    engine.push_answers = [REFUSED, REFUSED, PUSHED]
    assert engine.publish() == DIGEST
    assert waits == [0.5, 1.0]
    assert "[Push] pushing r.example/x:t failed: dial tcp" in engine.out.getvalue()


PIP_FAILED = [
    {"stream": "Step 7/9 : RUN python3 -m pip install x"},
    {"stream": "\x1b[91mERROR: No matching distribution found for x\x1b[0m\n"},
    {"error": "The command returned a non-zero code: 1"},
]


@pytest.mark.parametrize(
    ("build_answer", "push_answers", "error", "step"),
    [
        (PIP_FAILED, [], PipFailedError, Step.BUILD),
        (BUILT[:2], [], EngineUnavailableError, Step.BUILD),
        (Response(400, b'{"message": "dockerfile parse error"}'), [], BuildStepFailedError, Step.BUILD),
        (
            Response(body=b'{"stream": "x"}' * 100, drop_after=100, chunked=True),
            [],
            EngineUnavailableError,
            Step.BUILD,
        ),
        (BUILT, [REFUSED] * 4, RegistryUnavailableError, Step.PUSH),
        (BUILT, [[{"error": "denied: requested access"}]], RegistryForbiddenError, Step.PUSH),
        (BUILT, [PUSHED[:1]], BuildStepFailedError, Step.PUSH),
        (
            BUILT,
            [Response(500, b'{"message": "connection refused"}')] * 4,
            RegistryUnavailableError,
            Step.PUSH,
        ),
    ],
    ids=["pip", "no image", "refused", "engine dies", "registry down", "denied", "no digest", "push refused"],
)
def test_failure_has_its_error_and_its_step(
    engine: Engine, build_answer: object, push_answers: object, error: type[BuildFailedError], step: Step
) -> None:
    engine.build_answer = build_answer  # type: ignore[assignment]
    engine.push_answers = list(push_answers)  # type: ignore[call-overload]
    with pytest.raises(error):
        engine.publish()
    assert engine.log.step == step


def test_unreachable_engine_is_named_by_its_address(engine: Engine) -> None:
    engine.builder = DockerBuilder(host="tcp://127.0.0.1:1")
    with pytest.raises(EngineUnavailableError, match=r"tcp://127\.0\.0\.1:1 does not answer"):
        engine.publish()
