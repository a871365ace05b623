"""Generated requests (schemathesis): the running gateway conforms to its OpenAPI document."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conformance.api.conftest import (
    RESOURCE_GROUP,
    SUBSCRIPTION,
    trusted,
)
from tests.conformance.api.reference import API_VERSION
from tests.support.cluster import Kubectl

# A JSON schema expresses neither rules over several fields nor the need for registered objects.
_EXCLUDED_CHECK = "positive_data_acceptance"
# Hypothesis parses source code, which CPython before 3.11.5 supports in one thread only:
# https://github.com/python/cpython/issues/106905.
_WORKERS = "1"


def test_gateway_conforms_to_its_document(account: Kubectl, base_url: str, tmp_path: Path) -> None:
    parameters = {
        "path.subscriptionId": SUBSCRIPTION,
        "path.resourceGroupName": RESOURCE_GROUP,
        "path.accountName": account.namespace,
        "query.api-version": API_VERSION,
    }
    lines = [f'"{name}" = "{value}"' for name, value in parameters.items()]
    config = tmp_path / "schemathesis.toml"
    config.write_text("\n".join(["[parameters]", *lines]), encoding="utf-8")
    authority = tmp_path / "ca.crt"
    authority.write_text(trusted(base_url) or "", encoding="utf-8")
    token = account("create", "token", "editor").strip()
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(config),
            "run", f"{base_url}/openapi.json", "--header", f"Authorization: Bearer {token}",
            "--phases", "coverage,fuzzing", "--max-examples", "10", "--workers", _WORKERS,
            "--request-timeout", "25", "--exclude-checks", _EXCLUDED_CHECK, "--generation-deterministic",
            *(("--tls-verify", str(authority)) if authority.stat().st_size else ()),
        ],
        capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
