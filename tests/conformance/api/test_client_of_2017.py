"""The client of 2017 deploys a driver: its own code sends model, schema, dependency and requirements.

Its own code also scores, at the public URL. Traefik of the local cluster serves it outside of the cluster.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.conformance.api.conftest import Api, trusted
from tests.support.cluster import Kubectl, port_forward

CLIENT: Final = Path(__file__).with_name("client_of_2017")
HTTPS_CA: Final = os.environ.get("HTTPS_CA")
ROW: Final = {"sepal width": 2.0, "petal length": 3, "picked": "2017-05-06"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the client and the SDK from PyPI."""
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run(
        ["uv", "pip", "install", "-q", "--no-deps", "--python", sys.executable, "--target", folder, "-r",
         CLIENT / "requirements.txt"],
        check=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the working directory of a user of 2017."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("score.py", "service_schema.json"):
        shutil.copy(CLIENT / name, folder / name)
    (folder / "lib").mkdir()
    (folder / "lib/units.py").write_text("def inches(areas): return areas / 2\n")
    (folder / "model.pkl").write_bytes(pickle.dumps({"factor": 10}))
    (folder / "requirements.txt").write_text("joblib\npandas\n")
    return folder


@pytest.fixture(scope="module")
def deployed(packages: Path, project: Path, api: Api, base_url: str, account: Kubectl) -> Any:
    """Return the ids of Image and Service that the client has made, and the result that it has scored."""
    profile = {"id": "account", "model_management_swagger_location": f"{api.root}/swagger.json"}
    (project / "viennaModelManagementAccountProfile.json").write_text(json.dumps(profile))
    authorities = trusted(base_url) or ""
    public = {}
    if HTTPS_CA:
        authorities += Path(HTTPS_CA).read_text()
        public = {"INPUT": json.dumps({"input_df": [ROW, ROW]})}
    (project / "ca.pem").write_text(authorities)
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", CLIENT / "client.py"],
        cwd=project,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(project),
            "AZURE_CONFIG_DIR": str(project),
            "PYTHONPATH": str(packages),
            "TOKEN": account("create", "token", "editor").strip(),
            "NAME": f"iris{uuid.uuid4().hex[:6]}",
            **({"REQUESTS_CA_BUNDLE": str(project / "ca.pem")} if authorities else {}),
            **public,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    *_, scored, ids = ran.stdout.splitlines()
    return {**json.loads(ids), "scored": scored}


@pytest.fixture(scope="module")
def scoring(deployed: Any, api: Api, account: Kubectl) -> Iterator[httpx.Client]:
    """Yield a client of the Service with its key."""
    key = api.get(f"/services/{deployed['service']}/keys")["primaryKey"]
    with (
        port_forward(account.namespace, f"service/{deployed['service']}", 80) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client,
    ):
        yield client


@pytest.mark.skipif(
    not HTTPS_CA, reason="the cluster has no data plane: see HTTPS_GATEWAY in tests/cluster/README.md"
)
def test_client_scores_at_the_public_url(deployed: Any, api: Api, account: Kubectl) -> None:
    uri = api.get(f"/services/{deployed['service']}")["scoringUri"]
    assert uri.startswith("https://localhost:")
    assert uri.endswith(f"/{account.namespace}/{deployed['service']}/score")
    assert json.loads(deployed["scored"]) == {"areas": [30.0, 30.0], "year": [2017, 2017]}


def test_run_gets_a_table_by_the_schema(scoring: httpx.Client) -> None:
    response = scoring.post("/score", json={"input_df": [ROW, ROW]})
    assert response.status_code == 200, response.text
    assert json.loads(response.json()) == {"areas": [30.0, 30.0], "year": [2017, 2017]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", "Input failed JSON deserialization"),
        ("[]", "does not respect the schema"),
        ('{"rows": []}', "Unexpected argument rows"),
        ("{}", "missing 1 required positional argument: 'input_df'"),
        ('{"input_df": 5}', "expected an array of items"),
        ('{"input_df": [{"sepal width": 1}]}', "petal length"),
        ('{"input_df": [{"sepal width": 1, "petal length": 2, "picked": "x"}]}', "input_df"),
    ],
)
def test_body_of_another_schema_is_a_bad_request(scoring: httpx.Client, body: str, message: str) -> None:
    response = scoring.post("/score", content=body)
    assert response.status_code == 400, response.text
    assert message in response.json()["message"]


def test_swagger_has_the_sample_that_the_client_prints(scoring: httpx.Client) -> None:
    source = scoring.get("/swagger.json").json()["definitions"]["ServiceInput"]
    assert source["example"]["input_df"][0]["petal length"] == 3.6
