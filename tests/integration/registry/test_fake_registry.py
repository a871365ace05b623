"""The fake registry of the unit tests answers to the parts of an upload as real registries do."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from tests.integration.registry.conftest import Start
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

BODY = b"0123456789"


@pytest.fixture(params=["fake", "anonymous", "crane"])
def client(request: pytest.FixtureRequest, start: Start) -> Iterator[httpx.Client]:
    """A client of the fake registry, of CNCF Distribution and of the registry of crane in turn."""
    fake = FakeRegistry()
    address = fake.address if request.param == "fake" else start(request.param).host
    with httpx.Client(base_url=f"http://{address}") as client:
        yield client
    fake.stop()


@pytest.mark.parametrize("wrong", ["0-4", "4-8", "6-10"])
def test_part_at_another_position_is_refused_and_changes_nothing(client: httpx.Client, wrong: str) -> None:
    upload = _Upload(client)
    assert upload.send(BODY[:5], "0-4") == 202
    assert upload.send(BODY[5:], wrong) == 416
    assert upload.send(BODY[5:], "5-9") == 202
    assert upload.commit(digest_of(BODY)) == 201
    assert client.get(f"/v2/models/a/blobs/{digest_of(BODY)}").content == BODY


class _Upload:
    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._url = client.post("/v2/models/a/blobs/uploads/").headers["location"]

    def send(self, part: bytes, content_range: str) -> int:
        """Send a part, and return the status of the response."""
        headers = {"Content-Type": "application/octet-stream", "Content-Range": content_range}
        response = self._client.patch(self._url, content=part, headers=headers)
        self._url = response.headers.get("location", self._url)
        return response.status_code

    def commit(self, digest: str) -> int:
        """Turn the upload into a blob, and return the status of the response."""
        url = httpx.URL(self._url).copy_merge_params({"digest": digest})
        return self._client.put(url, content=b"").status_code
