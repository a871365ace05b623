"""The gateway's Certificate, validated by cert-manager's own CRD on a real API server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.chart.tools import CommandError, Render, Run, environment

_MODULE: Final = "github.com/cert-manager/cert-manager@v1.21.0"
_CRD: Final = "deploy/crds/cert-manager.io_certificates.yaml"
_NAME: Final = "crd/certificates.cert-manager.io"


@pytest.fixture(scope="module")
def cert_manager(kubectl: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install cert-manager's CRD of certificates from its Go module, unless the cluster has that CRD."""
    if kubectl("get", _NAME, "--ignore-not-found"):
        yield
        return
    go = shutil.which("go", path=environment()["PATH"])
    if go is None:
        pytest.skip("cert-manager's CRD comes as a Go module, and go is not installed")
    done = subprocess.run(
        [go, "mod", "download", "-json", _MODULE],
        cwd=tmp_path_factory.mktemp("go"), env=environment(), capture_output=True, text=True, timeout=300,
        check=True,
    )  # fmt: skip
    kubectl("apply", "--server-side", "--filename", Path(json.loads(done.stdout)["Dir"]) / _CRD)
    kubectl("wait", "--for=condition=Established", _NAME, "--timeout=30s")
    yield
    kubectl("delete", _NAME)


@pytest.fixture
def certificate(cert_manager: None, render: Render) -> dict[str, Any]:
    """Render the Certificate with all of its values set."""
    objects = render(
        "--set", "gateway.enabled=true",
        "--set", "gateway.tls.issuerRef.name=company,gateway.tls.issuerRef.kind=ClusterIssuer",
        "--set", "gateway.tls.dnsNames={models.example.com}",
    )  # fmt: skip
    (found,) = (item for item in objects if item["kind"] == "Certificate")
    found["metadata"]["namespace"] = "default"  # nothing is stored, but the namespace must exist
    return found


def _check(kubectl: Run, body: dict[str, Any]) -> None:
    kubectl(
        "create", "--dry-run=server", "--validate=strict", "--filename", "-", text=json.dumps(body)
    )  # fmt: skip


def test_certificate_is_valid(kubectl: Run, certificate: dict[str, Any]) -> None:
    _check(kubectl, certificate)
    assert certificate["spec"]["dnsNames"][-1] == "models.example.com"
    assert certificate["spec"]["issuerRef"] == {"name": "company", "kind": "ClusterIssuer"}


def test_unknown_field_of_a_certificate_is_refused(kubectl: Run, certificate: dict[str, Any]) -> None:
    certificate["spec"]["issuer"] = certificate["spec"].pop("issuerRef")
    with pytest.raises(CommandError, match="issuer"):
        _check(kubectl, certificate)
