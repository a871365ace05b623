"""HTTPS of the custom metrics API: the rights of each caller."""

from __future__ import annotations

import asyncio
import base64
import datetime as dt
import http.client
import json
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import trustme
from tests.unit.scaler.fake_kube import REVIEWS_PATH, FakeTransport
from tests.unit.scaler.objects import pod, service

from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.https.listener import Listener
from modelyard.kube.types import API_SERVICES, CONFIG_MAPS, PODS, SECRETS
from modelyard.replica_client.load import Load
from modelyard.scaler.api_server import ApiConnection, ApiServer
from modelyard.scaler.authentication import RequestHeaders
from modelyard.scaler.authorization import Authorization
from modelyard.scaler.certificate import CertificateSecret
from modelyard.scaler.replicas import Replicas
from modelyard.scaler.tls import TlsSettings

ROOT: Final = "/apis/custom.metrics.k8s.io/v1beta2"
PATH: Final = f"{ROOT}/namespaces/default/pods/*/modelyard_scoring_utilization"
HPA: Final = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
NAME: Final = "modelyard-scaler.ns.svc"
FRONT_PROXY: Final = trustme.CA()
OTHER: Final = trustme.CA()


class Api:
    """The API on a port of this machine, with one replica at half of its places."""

    def __init__(self) -> None:
        data = {
            "requestheader-client-ca-file": FRONT_PROXY.cert_pem.bytes().decode(),
            "requestheader-allowed-names": '["front-proxy-client"]',
            "requestheader-username-headers": '["X-Remote-User"]',
            "requestheader-group-headers": '["X-Remote-Group"]',
        }
        version = {"resourceVersion": "1"}
        api_services = [f"{version}.custom.metrics.k8s.io" for version in ("v1beta1", "v1beta2")]
        self.cluster = FakeTransport(
            {
                SECRETS.path("ns", "tls"): {"metadata": version},
                CONFIG_MAPS.path("kube-system", "extension-apiserver-authentication"): {"data": data},
                **{API_SERVICES.path(None, name): {"metadata": version, "spec": {}} for name in api_services},
            }
        )
        self.cluster.allows = lambda spec: spec["user"] == HPA
        client = self.cluster.client
        self.replicas = Replicas(lambda spec: True, lambda replica, is_asked: None)
        self.reason_not_ready = ""
        self.server = ApiServer(
            Authorization(client), self.replicas.of_namespace, lambda: self.reason_not_ready
        )
        secret = CertificateSecret(client, "ns", "tls", [NAME], creates=True)
        self.tls = TlsSettings(client, secret, self._use, is_aggregated=True)
        self.contexts: list[ssl.SSLContext] = []
        self.port = 0

    def _use(self, context: ssl.SSLContext, headers: RequestHeaders) -> None:
        self.server.request_headers = headers
        self.contexts.append(context)

    def get(
        self, path: str, certificate: Path | None = None, method: str = "GET", **headers: str
    ) -> tuple[int, Any]:
        """Send a request as a client that trusts the APIService's caBundle; return status and document."""
        bundle = self.cluster.objects[SECRETS.path("ns", "tls")]["data"]["ca.crt"]
        context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode())
        if certificate:
            context.load_cert_chain(certificate)
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=10) as sock,
            context.wrap_socket(sock, server_hostname=NAME) as secured,
        ):
            connection = http.client.HTTPConnection("127.0.0.1", self.port)
            connection.sock = secured
            connection.putrequest(method, path)
            for name, value in headers.items():
                for one in value.split("|"):
                    connection.putheader(name.replace("_", "-"), one)
            connection.endheaders()
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if body.startswith(b"{") else body


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    api.replicas.on_service(CUSTOM_RESOURCES["Service"], service(), deleted=False)
    api.replicas.on_pod(PODS, pod(), deleted=False)
    for replica in api.replicas.asked():
        replica.figures.add(Load(1, 0, 2, 0, True), at=0.0, read_at=0.0)
    await api.tls.refresh()
    with socket.create_server(("127.0.0.1", 0)) as sock:
        api.port = sock.getsockname()[1]
        listener = Listener(sock, api.contexts[-1], lambda: ApiConnection(api.server))
        task = asyncio.create_task(listener.run())
        yield api
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    for connection in list(api.server.connections):
        connection.abort()


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, Path]:
    """Client certificates in files: of the API server, and of others."""
    made = {
        "front-proxy": FRONT_PROXY.issue_cert(common_name="front-proxy-client"),
        "other-name": FRONT_PROXY.issue_cert(common_name="kubelet"),
        "other-authority": OTHER.issue_cert(common_name="front-proxy-client"),
    }
    for name, certificate in made.items():
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    return {name: tmp_path / name for name in made}


async def test_autoscaler_reads_the_metric_through_the_api_server(
    api: Api, certificates: dict[str, Path]
) -> None:
    status, body = await asyncio.to_thread(api.get, PATH, certificates["front-proxy"], X_Remote_User=HPA)
    assert (status, [item["value"] for item in body["items"]]) == (200, ["500m"])


async def test_caller_without_the_certificate_of_the_api_server_is_nobody(
    api: Api, certificates: dict[str, Path]
) -> None:
    for certificate in (None, certificates["other-name"]):
        for path in (PATH, ROOT, "/apis"):
            status, body = await asyncio.to_thread(api.get, path, certificate, X_Remote_User=HPA)
            assert (status, body["reason"]) == (401, "Unauthorized")
    with pytest.raises(OSError, match=r"."):
        await asyncio.to_thread(api.get, PATH, certificates["other-authority"], X_Remote_User=HPA)
    assert not any("subjectaccessreviews" in request.path for request in api.cluster.requests)


async def test_user_without_the_right_is_forbidden(api: Api, certificates: dict[str, Path]) -> None:
    proxy = certificates["front-proxy"]
    status, body = await asyncio.to_thread(api.get, PATH, proxy, X_Remote_User="jane")
    assert (status, body["reason"]) == (403, "Forbidden")
    assert "user jane cannot get pods/modelyard_scoring_utilization" in body["message"]
    status, _ = await asyncio.to_thread(api.get, ROOT, proxy, X_Remote_User="jane")
    assert status == 200  # discovery is for each authenticated user


async def test_group_with_a_comma_is_one_group(api: Api, certificates: dict[str, Path]) -> None:
    groups = "a, system:masters|b"
    await asyncio.to_thread(
        api.get, PATH, certificates["front-proxy"], X_Remote_User=HPA, X_Remote_Group=groups
    )
    (review,) = [request.body for request in api.cluster.requests if request.path == REVIEWS_PATH]
    assert review is not None
    assert review["spec"]["groups"] == ["a, system:masters", "b", "system:authenticated"]


async def test_unknown_rights_are_an_error_of_the_server(api: Api, certificates: dict[str, Path]) -> None:
    api.cluster.is_away = True
    status, body = await asyncio.to_thread(api.get, PATH, certificates["front-proxy"], X_Remote_User=HPA)
    assert (status, body["reason"]) == (503, "ServiceUnavailable")


async def test_probes_need_no_certificate(api: Api) -> None:
    assert (await asyncio.to_thread(api.get, "/healthz"))[0] == 200
    assert (await asyncio.to_thread(api.get, "/readyz"))[0] == 200
    api.reason_not_ready = "the first list of pods is not complete"
    assert await asyncio.to_thread(api.get, "/readyz") == (503, b"the first list of pods is not complete")
    assert (await asyncio.to_thread(api.get, "/healthz"))[0] == 200


async def test_api_is_read_only_and_has_no_other_paths(api: Api, certificates: dict[str, Path]) -> None:
    proxy = certificates["front-proxy"]
    assert (await asyncio.to_thread(api.get, PATH, proxy, "DELETE", X_Remote_User=HPA))[0] == 405
    for path in (f"{ROOT}/nodes/*/cpu", "/metrics", "/api/v1/secrets"):
        assert (await asyncio.to_thread(api.get, path, proxy, X_Remote_User=HPA))[0] == 404


async def test_tls_is_replaced_when_certificate_or_authority_change(api: Api) -> None:
    await api.tls.refresh()
    assert len(api.contexts) == 1
    config_map = api.cluster.objects[CONFIG_MAPS.path("kube-system", "extension-apiserver-authentication")]
    config_map["data"]["requestheader-client-ca-file"] = OTHER.cert_pem.bytes().decode()
    await api.tls.refresh()
    assert len(api.contexts) == 2
    secret = api.cluster.objects[SECRETS.path("ns", "tls")]
    secret["data"] = {}
    await api.tls.refresh()
    assert len(api.contexts) == 3


async def test_reason_is_told_until_there_is_a_certificate() -> None:
    api = Api()
    api.cluster.is_away = True
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        api.cluster.is_away = False
        if len(pauses) == 2:
            raise asyncio.CancelledError

    secret = CertificateSecret(api.cluster.client, "ns", "tls", [NAME], creates=True)
    tls = TlsSettings(
        api.cluster.client, secret, lambda *_: None, is_aggregated=True, sleep=sleep,
        now=lambda: dt.datetime.now(dt.UTC),
    )  # fmt: skip
    assert "not read yet" in tls.problem
    with pytest.raises(asyncio.CancelledError):
        await tls.run()
    assert pauses == [2.0, 60.0]
    assert tls.problem == ""
