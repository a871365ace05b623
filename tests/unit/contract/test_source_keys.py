"""Keys of Secrets by URL scheme."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from modelyard.api.sources import SCHEMES
from modelyard.contract.source_keys import describe_keys, usable_keys

DOCUMENTED: Final = Path(__file__).parents[3] / "docs" / "sources.md"
EVERYTHING: Final = dict.fromkeys(
    [
        "username", "password", "token", "header.X", ".dockerconfigjson", "tls.key", "primaryKey",
        "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
        "AZURE_STORAGE_SAS_KEY", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_MSI_ENDPOINT",
    ],
    "x",
)  # fmt: skip


@pytest.mark.parametrize(
    ("url", "keys"),
    [
        ("https://h/x", {"username", "password", "token", "header.X"}),
        ("HTTP://h/x", {"username", "password", "token", "header.X"}),
        ("oci://h/x", {"username", "password", "token", ".dockerconfigjson"}),
        ("s3://b/x", {"AWS_ACCESS_KEY_ID"}),
        ("gs://b/x", {"GOOGLE_SERVICE_ACCOUNT_KEY"}),
        ("abfss://c@a/x", {"AZURE_STORAGE_SAS_KEY"}),
        ("pvc://c/x", set()),
        ("data:,x", set()),
        ("", set()),
    ],
)
def test_download_gets_the_keys_of_its_scheme_only(url: str, keys: set[str]) -> None:
    assert usable_keys(url, EVERYTHING).keys() == keys


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme not in {"pvc://", "data:"}])
def test_keys_of_a_scheme_are_those_of_the_documentation(scheme: str) -> None:
    lines = DOCUMENTED.read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith("| `") and f"`{scheme}" in line)
    documented = set(re.findall(r"`([^`]+)`", row.split("|")[3])) - {"Layers"}
    assert set(describe_keys(f"{scheme}x").split(", ")) == documented
