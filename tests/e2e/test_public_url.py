"""Public URLs of Services, through a real data plane: Traefik, or Envoy Gateway with `make test-envoy`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Final

import httpx
import pytest
from tests.support.cluster import Json, Kubectl, eventually
from tests.support.load import OutsideLoad
from tests.support.objects import constant_driver, image, manifest, service
from tests.support.planes import HOST, Plane, present_plane
from tests.support.status import condition, wait_for_status

from modelyard.api.owners import Owner
from modelyard.reconcile.children import merge
from modelyard.resources.routing import Address, ingress
from modelyard.settings import IngressSettings, RoutingSettings

Make = Callable[..., str]
LARGE: Final = 100 << 20  # bytes, the default limit of bodies
ROUTE: Final = {"enabled": True}
CONTESTED: Final = "contested.models.localhost"  # values.yaml allows it in each namespace
SECONDS: Final = 120  # limit of each wait


@pytest.fixture(scope="module")
def plane() -> Plane:
    """Return the data plane under test."""
    if "HTTPS_GATEWAY" not in os.environ:
        pytest.skip("the cluster has no data plane: see HTTPS_GATEWAY in tests/cluster/README.md")
    return present_plane()


@pytest.fixture(scope="module")
def published(shared: Kubectl, plane: Plane) -> str:
    """Return the name of a Service with a public URL, for all these tests."""
    room = {"cpu": "10m", "memory": "512Mi"}
    shared.apply(service("published", "stream", route=ROUTE, containerResourceReservation=room))
    wait_for_status(shared, "msvc", "published", SECONDS, state="Succeeded")
    return "published"


@pytest.fixture
def client(shared: Kubectl, plane: Plane, published: str) -> Iterator[httpx.Client]:
    """Yield a client of the public URL with the key of the Service."""
    url = shared.get("msvc", published)["status"]["url"]
    with plane.client(base_url=url, headers=authorization(shared, published)) as client:
        answers(client, 200)
        yield client


def authorization(kubectl: Kubectl, name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {kubectl.secret(f'{name}-keys')['primaryKey']}"}


def answers(client: httpx.Client, status: int) -> None:
    """Wait until the path / has a status. A data plane reports a route shortly before it serves the route."""
    eventually(lambda: client.get("/").status_code == status, SECONDS, f"status {status} from the data plane")


def route_condition(status: Json) -> Json:
    return condition(status, "RouteReady")


def test_public_url_is_the_scoring_uri(shared: Kubectl, plane: Plane, published: str) -> None:
    status = shared.get("msvc", published)["status"]
    assert status["url"] == f"{plane.url}/{shared.namespace}/{published}"
    assert status["scoringUri"] == f"{status['url']}/score"
    assert route_condition(status)["status"] == "True"


def test_public_url_requires_a_key(client: httpx.Client) -> None:
    assert client.post("/score", content="four").json() == 4
    for wrong in ("", "Bearer wrong"):
        refused = client.post("/score", content="four", headers={"Authorization": wrong})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].startswith("Bearer")


def test_documents_have_the_public_path(shared: Kubectl, client: httpx.Client, published: str) -> None:
    assert client.get("/swagger.json").json()["basePath"] == f"/{shared.namespace}/{published}"
    page = client.get("/docs")
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]


def test_first_piece_of_a_stream_arrives_before_the_end(client: httpx.Client) -> None:
    with client.stream("POST", "/score", content="stream") as response:
        pieces = response.iter_text()
        assert next(pieces) == "first "
        assert client.post("/score", content="release").status_code == 200
        assert "".join(pieces) == "last"


def test_body_of_the_maximum_size_is_scored(client: httpx.Client) -> None:
    body = b"x" * LARGE

    def score() -> httpx.Response | None:
        response = client.post("/score", content=body)
        # On a busy machine, the driver takes more than the queue timeout of 500 ms to read its input.
        return response if response.status_code != 503 else None

    assert eventually(score, SECONDS, "a response other than 503").json() == LARGE


def test_no_request_fails_during_a_roll_behind_the_data_plane(
    shared: Kubectl, plane: Plane, make_service: Make
) -> None:
    name = make_service("one", route=ROUTE)
    url = shared.get("msvc", name)["status"]["url"]
    with plane.client(base_url=url) as client:
        answers(client, 200)
    key = shared.secret(f"{name}-keys")["primaryKey"]
    with OutsideLoad(f"{url}/score", key, "{}", plane, per_second=100) as load:
        shared.patch("msvc", name, {"spec": {"imageId": "two"}})
        wait_for_status(shared, "msvc", name, SECONDS, state="Succeeded", version=2)
        load.wait(8)  # the old pod stops during these seconds
        ok, failed, errors = load.total()
        last = load.seconds()[-1]["answers"]
    assert (failed, errors) == (0, {})
    assert ok > 300
    assert set(last) == {'"two"'}


def test_host_of_a_service_is_refused_to_another_namespace(
    shared: Kubectl, kubectl: Kubectl, plane: Plane, make_service: Make
) -> None:
    route = {"host": CONTESTED, "path": f"/{kubectl.namespace}", **ROUTE}
    first = make_service("one", route=route)
    late = service("late", "two", route=route)
    kubectl.apply(manifest("two", constant_driver("two")), image("two"), late)
    status = wait_for_status(
        kubectl,
        "msvc",
        "late",
        SECONDS,
        also=lambda found: route_condition(found).get("reason") == "AddressTaken",
    )
    assert f"{shared.namespace}/{first}" in route_condition(status)["message"]
    with plane.client(base_url=shared.get("msvc", first)["status"]["url"]) as client:
        assert client.base_url.host == CONTESTED
        answers(client, 200)
        assert client.post("/score", content="{}", headers=authorization(shared, first)).json() == "one"


@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        ({"tls": {"certificateRefs": [{"name": "no-such-certificate"}]}}, "CertificateMissing", "https"),
        ({"hostname": "other.example.com"}, "ListenerMissing", HOST),
    ],
    ids=["certificate", "listener"],
)
def test_missing_part_of_the_gateway_is_a_condition_until_it_exists(
    broken: Json,
    reason: str,
    words: str,
    shared: Kubectl,
    plane: Plane,
    client: httpx.Client,
    published: str,
) -> None:
    system = Kubectl(plane.namespace)
    (listener,) = system.get("gateway", plane.gateway)["spec"]["listeners"]
    system.patch("gateway", plane.gateway, {"spec": {"listeners": [merge(listener, broken)]}})
    try:
        status = wait_for_status(
            shared, "msvc", published, SECONDS,
            also=lambda found: route_condition(found).get("reason") == reason,
        )  # fmt: skip
        assert words in route_condition(status)["message"]
        assert condition(status, "Available")["status"] == "True"
    finally:
        system.patch("gateway", plane.gateway, {"spec": {"listeners": [listener]}})
    wait_for_status(
        shared, "msvc", published, SECONDS, also=lambda found: route_condition(found).get("status") == "True"
    )
    answers(client, 200)


def test_ingress_of_a_service_serves_by_its_host(shared: Kubectl, plane: Plane, published: str) -> None:
    if plane.namespace != "traefik":
        pytest.skip("Envoy Gateway has no Ingress")
    host = "ingress.models.localhost"
    owner = Owner("Service", published, shared.get("msvc", published)["metadata"]["uid"])
    routing = RoutingSettings(ingress=IngressSettings(class_name="traefik"))
    shared.apply(ingress(owner, shared.namespace, Address(host, "/"), routing))
    url = f"https://{host}:{plane.port}"
    with plane.client(base_url=url, headers=authorization(shared, published)) as client:
        answers(client, 200)
        assert client.post("/score", content="four").json() == 4
    eventually(
        lambda: shared.get("ingress", published)["status"]["loadBalancer"].get("ingress"),
        SECONDS,
        "an address",
    )
