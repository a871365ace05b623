"""Servers that say back all they are sent: no credential comes into the log or the result of a build."""

from __future__ import annotations

import base64
import json
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from modelyard.builder import job
from modelyard.builder.assemble import assemble
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import AssetInput, BuildRequest, ModelInput, Source
from modelyard.retry import Retry

CANARIES = {
    "token": "canary-token-1",
    "password": "canary-password+/2",
    "header": "canary-header-3",
    "query": "canary-query+/4",
    "secret key": "canary-secret-key-5",
    "session": "canary-session-6",
    "sas": "canary-sas+/7",
    "url": "canary-of-url-8",
    "account": base64.b64encode(b"canary-account-9").decode(),
    "client": "canary-client-10",
    "google": "canary-google-11",
}


class Echo:
    """A server that repeats the head of each request: as its reason phrase, in headers and in the body."""

    def __init__(self) -> None:
        self.status = 200
        self.heads: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as file:
            lines = [*iter(lambda: file.readline().strip(), b"")]
            head = b" ".join(lines)
            self.heads.append(head.decode("latin-1"))
            body = json.dumps({"errors": [{"code": "DENIED", "message": self.heads[-1]}]}).encode()
            reply = [
                b"HTTP/1.1 %d %s" % (self.status, head),
                b"Location: http://%s/%s" % (self.address.encode(), quote(head).encode()),
                b"WWW-Authenticate: Basic realm=" + head,
                b"ETag: " + head,
                b"Content-Length: %d" % len(body),
                b"Connection: close",
            ]
            connection.sendall(b"\r\n".join(reply) + b"\r\n\r\n" + body)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.stop()


def _sources(address: str) -> dict[str, Source]:
    """Return a source for each scheme and each kind of credential."""
    http, store = f"http://{address}", "abfs://container@account.dfs.core.windows.net/k"
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": CANARIES["secret key"]}
    google = {"client_email": "a@b", "private_key": CANARIES["google"], "private_key_id": "k"}
    login = {"auths": {address: {"username": "me", "password": CANARIES["password"]}}}
    azure = {"AZURE_ENDPOINT": http}
    basic = {"username": "me", "password": CANARIES["password"]}
    client = {"AZURE_STORAGE_CLIENT_ID": "c", "AZURE_STORAGE_TENANT_ID": "t"}
    return {
        "bearer": Source(url=f"{http}/m", credentials={"token": CANARIES["token"]}),
        "basic": Source(url=f"{http}/m", credentials=basic),
        "header": Source(url=f"{http}/m", credentials={"header.X-Key": CANARIES["header"]}),
        "signed url": Source(url=f"{http}/m?sig={quote(CANARIES['query'], safe='')}"),
        "user of url": Source(url=f"http://me:{CANARIES['url']}@{address}/m"),
        "s3": Source(
            url="s3://b/k",
            credentials=keys | {"AWS_SESSION_TOKEN": CANARIES["session"], "AWS_ENDPOINT_URL": http},
        ),
        "sas": Source(
            url=store,
            credentials=azure | {"AZURE_STORAGE_SAS_KEY": f"sv=1&sig={quote(CANARIES['sas'], safe='')}"},
        ),
        "account key": Source(
            url=store, credentials=azure | {"AZURE_STORAGE_ACCOUNT_KEY": CANARIES["account"]}
        ),
        "gs": Source(
            url="gs://b/k",
            credentials={
                "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(
                    google | {"gcs_base_url": http, "disable_oauth": True}
                )
            },
        ),
        "part of a credential": Source(
            url=store, credentials=azure | client | {"AZURE_STORAGE_SAS_KEY": CANARIES["client"]}
        ),
        "oci": Source(url=f"oci://{address}/a/b:c", credentials=basic),
        "oci token": Source(url=f"oci://{address}/a/b:c", credentials={"token": CANARIES["token"]}),
        "dockerconfigjson": Source(
            url=f"oci://{address}/a/b:c", credentials={".dockerconfigjson": json.dumps(login)}
        ),
        "data": Source(url="data:,x", credentials={"token": CANARIES["token"]}),
        "pvc": Source(url="pvc://claim/k", credentials={"token": CANARIES["token"]}),
        "unknown keys": Source(url=f"{http}/m", credentials={"other": CANARIES["token"]}),
    }


def _forms(canary: str) -> set[str]:
    """Return the forms in which a server may say a credential back."""
    users = {base64.b64encode(f"{user}:{canary}".encode()).decode() for user in ("me", "")}
    return {canary, quote(canary, safe=""), quote(canary), base64.b64encode(canary.encode()).decode(), *users}


def _canaries_in(text: str) -> set[str]:
    return {name for name, canary in CANARIES.items() if any(form in text for form in _forms(canary))}


class _Fetching:
    """A builder that fetches the inputs of the image."""

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        without_waits = replace(context, retry=Retry(attempts=2, sleep=lambda _: None))
        assemble(request, workspace, without_waits, log)
        return "sha256:" + "0" * 64


@pytest.mark.parametrize("status", [200, 206, 302, 403, 500])
def test_credential_that_a_server_says_back_is_in_neither_log_nor_result(
    echo: Echo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
) -> None:
    echo.status = status
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(job, "builder_of", lambda *_: _Fetching())
    environment = {
        "MODELYARD_BUILD_REQUEST": "request.json",
        "MODELYARD_BUILD_WORKSPACE": "workspace",
        "MODELYARD_TERMINATION_LOG": "result",
    }
    for name, file in environment.items():
        monkeypatch.setenv(name, str(tmp_path / file))
    for label, source in _sources(echo.address).items():
        request = BuildRequest(
            repository="r.example/x",
            tag="t",
            base_image="base:1",
            driver="d",
            assets=(AssetInput(id="d", source=Source(content="x")),),
            models=(ModelInput(name="m", version=1, source=source),),
        )
        (tmp_path / "request.json").write_text(request.model_dump_json(by_alias=True))
        code = job.run()
        said = capsys.readouterr().out + (tmp_path / "result").read_text()
        assert code in {0, 1}, (label, said)
        assert not _canaries_in(said), (label, said)
    # The server has received what it could say back.
    sent = {"token", "password", "header", "query", "url", "session", "sas"}
    assert sent <= _canaries_in(" ".join(echo.heads))
