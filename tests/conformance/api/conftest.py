"""Fixtures: the gateway under test, clients of it, and the rows of the reference that tests cover.

The tests call the gateway that the chart installed, through a port-forward. `GATEWAY_URL` names another one,
whose cluster KUBECONFIG must name. Clients have the tokens of ServiceAccounts in a namespace of this run.
"""

from __future__ import annotations

import contextlib
import json
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
from tests.conformance.api.reference_checker import ReferenceChecker
from tests.support.cluster import OPERATOR_NAMESPACE, Kubectl, port_forward
from tests.support.files import Files
from tests.support.operator import SYSTEM

GATEWAY_PODS: Final = "app.kubernetes.io/name=modelyard-gateway"
SUBSCRIPTION: Final = "5f08d643-1910-4a38-a7c7-84a39d4f42e0"
RESOURCE_GROUP: Final = "Research"
_ROLES: Final = {"editor": "edit", "viewer": "view"}
_CHECKER: Final = ReferenceChecker()
_POLL_SECONDS: Final = 0.5
_BUILD_SECONDS: Final = 600
# Files that run alone, in this order: the logs of pods must stay, and then come the faults. Rows come last.
_ALONE: Final = ("test_secrets.py", "test_faults.py", "test_rows.py")
ROWS_FOLDER: Final = os.environ.get("API_ROWS")
"""Folder with the rows that each process of tests has covered; the tests that run alone read it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests, and put those of _ALONE last."""
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    for item in here:
        item.add_marker(pytest.mark.e2e)
        if item.path.name in _ALONE:
            item.add_marker(pytest.mark.alone)
    items.sort(key=lambda item: _ALONE.index(item.path.name) if item.path.name in _ALONE else -1)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the covered rows. After the tests of rows, print in the last line how many of them passed."""
    result = yield
    if ROWS_FOLDER:
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        (Path(ROWS_FOLDER) / worker).write_text(json.dumps(sorted(_CHECKER.covered_rows)))
    if any(item.path.name == _ALONE[-1] for item in session.items):
        expected = set(rows())
        passed = expected & _CHECKER.covered_rows
        session.config.get_terminal_writer().line(f"rows={len(expected)} passed={len(passed)}")
    return result


@pytest.fixture(scope="session")
def checker() -> ReferenceChecker:
    """The checker, with the rows that earlier tests cover, also those of other processes."""
    for file in Path(ROWS_FOLDER).iterdir() if ROWS_FOLDER else ():
        _CHECKER.covered_rows |= set(json.loads(file.read_text()))
    return _CHECKER


@pytest.fixture(scope="session")
def account() -> Iterator[Kubectl]:
    """Kubectl in a namespace with the labels of an account."""
    name = f"api-{uuid.uuid4().hex[:8]}"
    kubectl = Kubectl(name)
    kubectl("create", "namespace", name)
    kubectl(
        "label", "namespace", name,
        f"modelyard.dev/subscription={SUBSCRIPTION}", f"modelyard.dev/resource-group={RESOURCE_GROUP}",
    )  # fmt: skip
    for caller in ("editor", "viewer", "no-role"):
        kubectl("create", "serviceaccount", caller)
    for caller, role in _ROLES.items():
        kubectl("create", "rolebinding", caller, f"--clusterrole={role}", f"--serviceaccount={name}:{caller}")
    yield kubectl
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def base_url() -> Iterator[str]:
    """The URL of the gateway."""
    if url := os.environ.get("GATEWAY_URL"):
        yield url
        return
    with forwarded() as url:
        yield url


@pytest.fixture(scope="session")
def replicas(base_url: str) -> Iterator[list[str]]:
    """The URL of each replica of the gateway; only GATEWAY_URL if that is set."""
    if "GATEWAY_URL" in os.environ:
        yield [base_url]
        return
    names = [pod["metadata"]["name"] for pod in SYSTEM.list("pods", GATEWAY_PODS)]
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(forwarded(f"pod/{name}", 8443)) for name in names]


@contextlib.contextmanager
def forwarded(target: str = "", port: int = 443) -> Iterator[str]:
    """Forward a port to the installed gateway during the context, and yield the URL."""
    service = f"service/{os.environ.get('GATEWAY_SERVICE', 'modelyard-gateway')}"
    with port_forward(OPERATOR_NAMESPACE, target or service, port) as url:
        yield url.replace("http://127.0.0.1", "https://localhost")


@pytest.fixture(scope="session")
def files(account: Kubectl) -> Files:
    """A web server that builds can reach."""
    return Files(account)


@dataclass(frozen=True)
class Api:
    """A client of the API with one token. The checker reads each response."""

    http: httpx.Client
    root: str

    def __call__(self, method: str, path: str, status: int | None = None, **options: Any) -> httpx.Response:
        """Call a path below the account. Raises AssertionError if the response has another status."""
        params = {"api-version": API_VERSION} | options.pop("params", {})
        response = self.http.request(method, self.root + path, params=params, **options)
        assert status is None or response.status_code == status, f"{method} {path}: {response.text}"
        return response

    def get(self, path: str, **params: str | int) -> Any:
        """Return the body of a response, which must have the status 200."""
        return self("GET", path, 200, params=params).json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        """Return the body of the response to a POST, or the path of the operation if the status is 202."""
        response = self("POST", path, status, json=body)
        if status == 202:
            return self.operation_of(response)
        return response.json()

    def operation_of(self, response: httpx.Response) -> str:
        """Return the path of an operation. Clients use the last segment of Operation-Location."""
        return f"/operations/{response.headers['Operation-Location'].rsplit('/', 1)[1]}"

    @contextlib.contextmanager
    def stream(self, uri: str) -> Iterator[Iterator[str]]:
        """Yield the parts of a response as they arrive."""
        with self.http.stream("GET", uri, timeout=300) as response:
            assert response.status_code == 200, response.read()
            yield response.iter_text()

    def finished(self, operation: str, seconds: float = _BUILD_SECONDS) -> Any:
        """Wait until an operation has ended, and return it."""
        end = time.monotonic() + seconds
        while True:
            now = self.get(operation)
            if now["state"] not in {"NotStarted", "Running"}:
                return now
            assert time.monotonic() < end, f"{operation} has not ended: {now}"
            time.sleep(_POLL_SECONDS)

    def all(self, path: str, **params: str | int) -> list[Any]:
        """Return the items of all pages of a list."""
        page = self.get(path, **params)
        items = list(page["value"])
        while "nextLink" in page:
            response = self.http.get(page["nextLink"])
            assert response.status_code == 200, response.text
            page = response.json()
            items += page["value"]
        return items


@pytest.fixture(scope="session")
def caller(account: Kubectl, base_url: str, checker: ReferenceChecker) -> Iterator[Callable[..., Api]]:
    """Create a client with the token of a ServiceAccount of the account, or with another token."""
    clients = []

    def check(response: httpx.Response) -> None:
        if not response.headers.get("content-type", "").startswith(
            "text/plain"
        ):  # the log of a running build, which is streamed
            response.read()
        checker.check(response)

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
    """Return the authority of the gateway's certificate from the chart's Secret, None without TLS."""
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
    """A client with the role edit."""
    return caller()


@pytest.fixture
def name() -> str:
    """A unique name that Kubernetes would reject."""
    return f"Thing_{uuid.uuid4().hex[:8]}.pkl"


def model(name: str, **fields: Any) -> dict[str, Any]:
    """Return a Model that needs no download."""
    return {"name": name, "url": "data:,42", "mimeType": "text/plain", **fields}


DRIVER: Final = "def init():\n    pass\n\n\ndef run(body):\n    return 42\n"


def manifest(name: str, *model_ids: str, runtime: str = "Python", **fields: Any) -> dict[str, Any]:
    """Return a Manifest with a small driver."""
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
    """Return the body of an ImageRequest."""
    required = {"manifestId": manifest_id, "imageType": "Docker", "computeResourceId": "cluster"}
    return {"name": name, **required, **fields}


def service(name: str, image_id: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a ServiceCreateRequest."""
    return {
        "name": name, "imageId": image_id, "computeResource": {"id": "cluster", "type": "Cluster"}, **fields,
    }  # fmt: skip


@pytest.fixture(scope="session")
def built(api: Api) -> Any:
    """An Image that is built by REST only."""
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
    """A Service of the built Image, after its rollout."""
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
