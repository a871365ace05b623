"""Path prefix of the OpenAPI document."""

from __future__ import annotations

import json

import pytest

from modelyard.scoring.front.openapi_prefix import with_prefix


@pytest.mark.parametrize(
    "prefix",
    [
        None,
        b"",
        b"/",
        b"//evil.example.com",
        b"https://evil.example.com",
        b"/a/",
        b"/a/../b",
        b'/a"',
        b"/a" * 600,
    ],
)
def test_header_that_is_no_plain_path_changes_nothing(prefix: bytes | None) -> None:
    assert with_prefix(b'{"swagger": "2.0"}', prefix) == b'{"swagger": "2.0"}'


@pytest.mark.parametrize(
    "document",
    [{"swagger": "2.0", "basePath": "/v1"}, {"openapi": "3.1.0", "servers": [{"url": "/v1"}]}, [1]],
)
def test_document_of_a_driver_keeps_its_own_servers(document: object) -> None:
    assert json.loads(with_prefix(json.dumps(document).encode(), b"/a/b")) == document
