"""Lists that registries return in pages."""

from __future__ import annotations

import json

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.reference import Reference


def test_tags_of_all_pages_are_listed(web: WebServer, registry: RegistryClient) -> None:
    def answer(request: Request) -> Response:
        if "last=" in request.path:
            return Response(body=json.dumps({"tags": ["3"]}).encode())
        link = '</v2/models/x/tags/list?last=2&n=2>; rel="next"'
        return Response(body=json.dumps({"tags": ["1", "2"]}).encode(), headers={"Link": link})

    web.respond = answer
    assert list(registry.tags(Reference(web.address, "models/x"))) == ["1", "2", "3"]


def test_missing_repository_has_no_tags(web: WebServer, registry: RegistryClient) -> None:
    assert list(registry.tags(Reference(web.address, "models/none"))) == []


def test_repositories_are_listed(web: WebServer, registry: RegistryClient) -> None:
    web.respond = lambda _: Response(body=json.dumps({"repositories": ["a", "b/c"]}).encode())
    assert list(registry.repositories(web.address)) == ["a", "b/c"]
    assert [request.path for request in web.requests] == ["/v2/_catalog"]


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_page_that_is_not_a_json_object_is_refused(
    web: WebServer, registry: RegistryClient, body: bytes
) -> None:
    web.respond = lambda _: Response(body=body)
    with pytest.raises(RegistryRefusedError, match="is not a JSON object"):
        list(registry.tags(Reference(web.address, "models/x")))
