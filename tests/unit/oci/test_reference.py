"""Names of images."""

from __future__ import annotations

import pytest

from modelyard.oci.errors import ReferenceInvalidError
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("python", Reference("docker.io", "library/python")),
        ("python:3.11-slim", Reference("docker.io", "library/python", "3.11-slim")),
        ("docker.io/python", Reference("docker.io", "library/python")),
        ("me/image:1", Reference("docker.io", "me/image", "1")),
        ("localhost/image", Reference("localhost", "image")),
        ("localhost:5001/a/b:1", Reference("localhost:5001", "a/b", "1")),
        ("my_registry:5000/a", Reference("my_registry:5000", "a")),
        ("[::1]:5000/a", Reference("[::1]:5000", "a")),
        (f"r.example/a/b:1@{DIGEST}", Reference("r.example", "a/b", "1", DIGEST)),
    ],
)
def test_name_is_parsed_as_docker_parses_it(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize(
    "text",
    [
        *("", "r.example/", "r.example/A", "a b", "r.example/a:b:c", "r.example/a@sha256:1"),
        *(
            "r.example:/a",
            "r.example:1;x/a",
            "r.example:65536/a",
            "me:pw@r.example/a",
            "::1/a",
            *("r..example/a", "001.2.3.4/a", "1.2.3.999/a"),
        ),
        *("r.example%00/a", "r.example\n/a", "r.\u2081/a", "-r.example/a", "[::1/a", "r.example:\u0661/a"),
    ],
)
def test_invalid_name_is_refused(text: str) -> None:
    with pytest.raises(ReferenceInvalidError, match="not the name of an image") as failure:
        parse_reference(text)
    assert failure.value.code == "RequestInvalid"
