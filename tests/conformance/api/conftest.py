"""The gateway under test, its callers, and the table of what was seen.

By default it is the one that the chart installed, through a port-forward. `GATEWAY_URL` names another one;
KUBECONFIG must lead to its cluster. Callers are ServiceAccounts of a namespace of this run's own.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.conformance.api.reference import (
    API_VERSION,
    rows,
)
from tests.conformance.api.seen import Seen
from tests.support.cluster import OPERATOR_NAMESPACE, Kubectl, port_forward
from tests.support.files import Files
from tests.support.operator import SYSTEM

GATEWAY_PODS: Final = "app.kubernetes.io/name=modelyard-gateway"
SUBSCRIPTION: Final = "5f08d643-1910-4a38-a7c7-84a39d4f42e0"
RESOURCE_GROUP: Final = "Research"
_ROLES: Final = {"editor": "edit", "viewer": "view"}
_SEEN: Final = Seen()
_POLL_SECONDS: Final = 0.5
_BUILD_SECONDS: Final = 600
_LAST: Final = ("test_faults.py", "test_rows.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests need the whole cluster; faults disturb others, and the table needs all that can be seen."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: _LAST.index(item.path.name) if item.path.name in _LAST else -1)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """The very last word: how much of the reference was seen to work."""
    result = yield
    wanted = set(rows())
    session.config.get_terminal_writer().line(f"rows={len(wanted)} passed={len(wanted & _SEEN.rows)}")
    return result


@pytest.fixture(scope="session")
def seen() -> Seen:
    """What was seen so far."""
    return _SEEN


@pytest.fixture(scope="session")
def account() -> Iterator[Kubectl]:
    """A namespace with the labels of an account, and kubectl in it."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    kubectl = Kubectl(name)
    kubectl("create", "namespace", name)
    kubectl(
        "label", "namespace", name,
        f"modelyard.dev/subscription={SUBSCRIPTION}", f"modelyard.dev/resource-group={RESOURCE_GROUP}",
    )  # fmt: skip
    for caller in ("editor", "viewer", "nobody"):
        kubectl("create", "serviceaccount", caller)
    for caller, role in _ROLES.items():
        kubectl("create", "rolebinding", caller, f"--clusterrole={role}", f"--serviceaccount={name}:{caller}")
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """Where the gateway is."""
    if url := os.environ.get("GATEWAY_URL"):
        yield url
        return
    with forwarded() as url:
        yield url


@pytest.fixture(scope="session")
def replicas(base_url: str) -> Iterator[list[str]]:
    """Where each replica of it is; of one that GATEWAY_URL names, that alone."""
    if "GATEWAY_URL" in os.environ:
        yield [base_url]
        return
    names = [pod["metadata"]["name"] for pod in SYSTEM.list("pods", GATEWAY_PODS)]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(forwarded(f"pod/{name}", 8443)) for name in names]


@contextlib.contextmanager
def forwarded(target: str = "", port: int = 443) -> Iterator[str]:
    """The installed gateway's URL, through one of its pods, while the context lasts."""
    service = f"service/{os.environ.get('GATEWAY_SERVICE', 'modelyard-gateway')}"
    with port_forward(OPERATOR_NAMESPACE, target or service, port) as url:
        yield url.replace("http://127.0.0.1", "https://localhost")


@pytest.fixture(scope="session")
def files(account: Kubectl) -> Files:
    """A web server that builds can reach."""
    return Files(account)


@dataclass(frozen=True)
class Api:
    """The API as one caller sees it; every exchange is checked and ticked off."""

    http: httpx.Client
    root: str

    def __call__(self, method: str, path: str, status: int | None = None, **given: Any) -> httpx.Response:
        """A call below the account; AssertionError when the status is another one than was expected."""
        params = {"api-version": API_VERSION} | given.pop("params", {})
        answer = self.http.request(method, self.root + path, params=params, **given)
        assert status is None or answer.status_code == status, f"{method} {path}: {answer.text}"
        return answer

    def get(self, path: str, **params: str | int) -> Any:
        """The body of a 200."""
        return self("GET", path, 200, params=params).json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        """The body of an answer to a POST; for a 202 the path of its operation."""
        answer = self("POST", path, status, json=body)
        if status == 202:
            return self.operation_of(answer)
        return answer.json()

    def operation_of(self, answer: httpx.Response) -> str:
        """The path of an operation: clients use the last segment of its location."""
        return f"/operations/{answer.headers['Operation-Location'].rsplit('/', 1)[1]}"

    @contextlib.contextmanager
    def stream(self, uri: str) -> Iterator[Iterator[str]]:
        """The pieces of an answer as they come."""
        with self.http.stream("GET", uri, timeout=300) as answer:
            assert answer.status_code == 200, answer.read()
            yield answer.iter_text()

    def finished(self, operation: str, seconds: float = _BUILD_SECONDS) -> Any:
        """An operation when it has ended."""
        end = time.monotonic() + seconds
        while True:
            now = self.get(operation)
            if now["state"] not in {"NotStarted", "Running"}:
                return now
            assert time.monotonic() < end, f"{operation} has not ended: {now}"
            time.sleep(_POLL_SECONDS)

    def all(self, path: str, **params: str | int) -> list[Any]:
        """All items of a listing, by its links."""
        page = self.get(path, **params)
        items = list(page["value"])
        while "nextLink" in page:
            answer = self.http.get(page["nextLink"])
            assert answer.status_code == 200, answer.text
            page = answer.json()
            items += page["value"]
        return items


@pytest.fixture(scope="session")
def caller(account: Kubectl, base_url: str, seen: Seen) -> Iterator[Callable[..., Api]]:
    """Makes the API as a ServiceAccount of the account sees it, or as the holder of a token."""
    clients = []

    def check(answer: httpx.Response) -> None:
        if not answer.headers.get("content-type", "").startswith("text/plain"):  # it may go on for long
            answer.read()
        seen.exchange(answer)

    def make(
        name: str = "editor", token: str | None = None, path: str | None = None, url: str = base_url
    ) -> Api:
        token = token if token is not None else account("create", "token", name).strip()
        http = httpx.Client(
            headers={"Authorization": f"Bearer {token}"},
            verify=_tls(base_url),
            timeout=20,
            event_hooks={"response": [check]},
        )
        clients.append(http)
        default = (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/accounts/{account.namespace}"
        )
        return Api(http, f"{url}/api{path or default}")

    yield make
    for http in clients:
        http.close()


def trusted(base_url: str) -> str | None:
    """The authority of the gateway's certificate, which the chart's Secret holds; None without TLS."""
    if not base_url.startswith("https"):
        return None
    name = os.environ.get("GATEWAY_TLS_SECRET", "modelyard-gateway-tls")
    secret = Kubectl(OPERATOR_NAMESPACE).secret(name)
    return secret.get("ca.crt") or secret["tls.crt"]


def _tls(base_url: str) -> ssl.SSLContext | bool:
    authority = trusted(base_url)
    return ssl.create_default_context(cadata=authority) if authority else False


@pytest.fixture(scope="session")
def api(caller: Callable[..., Api]) -> Api:
    """The API as somebody with the role edit sees it."""
    return caller()


@pytest.fixture
def name() -> str:
    """A name of the test's own that Kubernetes would refuse."""
    return f"Thing_{uuid.uuid4().hex[:8]}.pkl"


def model(name: str, **fields: Any) -> dict[str, Any]:
    """A Model that needs no download."""
    return {"name": name, "url": "data:,42", "mimeType": "text/plain", **fields}


DRIVER: Final = "def init():\n    pass\n\n\ndef run(body):\n    return 42\n"


def manifest(name: str, *model_ids: str, runtime: str = "Python", **fields: Any) -> dict[str, Any]:
    """A Manifest with a small driver."""
    driver = "data:text/x-python," + DRIVER.replace("\n", "%0A").replace(" ", "%20")
    return {
        "name": name,
        "modelIds": list(model_ids),
        "driverProgram": "driver",
        "assets": [{"id": "driver", "mimeType": "text/x-python", "url": driver, "unpack": False}],
        "targetRuntime": {"runtimeType": runtime, "properties": {}},
        **fields,
    }


def image(name: str, manifest_id: str, **fields: Any) -> dict[str, Any]:
    """An ImageRequest."""
    required = {"manifestId": manifest_id, "imageType": "Docker", "computeResourceId": "cluster"}
    return {"name": name, **required, **fields}


def service(name: str, image_id: str, **fields: Any) -> dict[str, Any]:
    """A ServiceCreateRequest."""
    return {
        "name": name, "imageId": image_id, "computeResource": {"id": "cluster", "type": "Cluster"}, **fields,
    }  # fmt: skip


@pytest.fixture(scope="session")
def built(api: Api) -> Any:
    """An Image that was built by REST alone."""
    registered = api.post("/models", model("Answer 42.txt", tags=["made", "here"], description="the answer"))
    made_from = api.post(
        "/manifests",
        manifest(
            "Answer",
            registered["id"],
            description="answers",
            modelType="Registered",
            webserviceType="Realtime",
        ),
    )
    operation = api.post("/images", image("Answer", made_from["id"], description="to answer"), 202)
    ended = api.finished(operation)
    assert ended["state"] == "Succeeded", ended
    return api.get(f"/images/{ended['resourceLocation'].rsplit('/', 1)[1]}")


@pytest.fixture(scope="session")
def served(api: Api, built: Any) -> Any:
    """A Service of it that was rolled out."""
    operation = api.post(
        "/services",
        service(
            "Answers",
            built["id"],
            numReplicas=1,
            containerResourceReservation={"cpu": "10m", "memory": "64Mi"},
            maxConcurrentRequestsPerContainer=4,
            appInsightsEnabled=False,
            dataCollection={"eventHubEnabled": False, "storageEnabled": False},
        ),
        202,
    )
    ended = api.finished(operation)
    assert ended["state"] == "Succeeded", ended
    return api.get(f"/services/{ended['resourceLocation'].rsplit('/', 1)[1]}")
