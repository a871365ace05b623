"""The client of 2017 deploys a driver: its own code sends model, schema, dependency and packages.

One client sends a requirements.txt, the other an environment file of conda. They deploy at the same time.

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
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.conformance.api.conftest import Api, trusted
from tests.support.cluster import Kubectl, port_forward
from tests.support.conda import CondaPackage, write_channel
from tests.support.conda_python import python_of_image
from tests.support.files import Files

CLIENT: Final = Path(__file__).with_name("client_of_2017")
HTTPS_CA: Final = os.environ.get("HTTPS_CA")
CHANNEL_NAMESPACE: Final = "conda-forge"
UNITS: Final = CondaPackage(
    "conda-units",
    "1.0",
    depends=["python"],
    files={"site-packages/conda_units.py": b"def inches(areas): return areas / 2\n"},
    subdir="noarch",
)
# As in the project of Azure ML Workbench, with a newer Python.
CONDA_FILE: Final = """\
name: project_environment
dependencies:
  - python={python}
  - conda-units
  - pip:
    # The API for Azure Machine Learning Model Management Service.
    - azure-ml-api-sdk==0.1.0a11
    - joblib
    - pandas
"""
ROW: Final = {"sepal width": 2.0, "petal length": 3, "picked": "2017-05-06"}


class Packages(StrEnum):
    """The variable of client.py for the file of packages."""

    REQUIREMENTS = "REQUIREMENTS"
    CONDA_FILE = "CONDA_FILE"


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
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CondaPackage]:
    """Serve conda-forge's mirror of values.yaml, and yield the Python in it."""
    folder = tmp_path_factory.mktemp("conda") / "channel"
    python = python_of_image(os.environ["PYTHON_BASE_IMAGE"])
    write_channel(folder, [python, UNITS])
    kubectl = Kubectl(CHANNEL_NAMESPACE)
    kubectl("delete", "namespace", CHANNEL_NAMESPACE, "--ignore-not-found")
    kubectl("create", "namespace", CHANNEL_NAMESPACE)
    Files(kubectl).add(folder, "channel")
    yield python
    kubectl("delete", "namespace", CHANNEL_NAMESPACE, "--wait=false")


def _project(folder: Path, units: str) -> Path:
    """Return the working directory of a user of 2017. `units` is the code of a dependency."""
    shutil.copytree(CLIENT, folder, ignore=shutil.ignore_patterns("client.py", "requirements.txt"))
    (folder / "lib").mkdir()
    (folder / "lib/units.py").write_text(units)
    (folder / "model.pkl").write_bytes(pickle.dumps({"factor": 10}))
    return folder


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory, python: CondaPackage) -> dict[Packages, Path]:
    """Return a working directory for each way of naming packages."""
    folder = tmp_path_factory.mktemp("projects")
    requirements = _project(folder / "requirements", "def inches(areas): return areas / 2\n")
    (requirements / "packages").write_text("joblib\npandas\n")
    conda = _project(folder / "conda", "from conda_units import inches\n")
    (conda / "packages").write_text(CONDA_FILE.format(python=python.version))
    return {Packages.REQUIREMENTS: requirements, Packages.CONDA_FILE: conda}


@pytest.fixture(scope="module")
def deployments(
    packages: Path, projects: dict[Packages, Path], api: Api, base_url: str, account: Kubectl
) -> dict[Packages, Any]:
    """Return the ids of Image and Service that each client has made, and the result that it has scored."""
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(packages),
        "TOKEN": account("create", "token", "editor").strip(),
    }
    authorities = trusted(base_url) or ""
    if HTTPS_CA:
        authorities += Path(HTTPS_CA).read_text()
        variables["INPUT"] = json.dumps({"input_df": [ROW, ROW]})
    clients = {
        way: _start_client(project, way, authorities, api, variables) for way, project in projects.items()
    }
    return {way: _result(client) for way, client in clients.items()}


def _start_client(
    project: Path, way: Packages, authorities: str, api: Api, variables: dict[str, str]
) -> subprocess.Popen[str]:
    profile = {"id": "account", "model_management_swagger_location": f"{api.root}/swagger.json"}
    (project / "viennaModelManagementAccountProfile.json").write_text(json.dumps(profile))
    (project / "ca.pem").write_text(authorities)
    own = {
        "HOME": str(project),
        "AZURE_CONFIG_DIR": str(project),
        "NAME": f"iris{uuid.uuid4().hex[:6]}",
        way: "packages",
        **({"REQUESTS_CA_BUNDLE": str(project / "ca.pem")} if authorities else {}),
    }
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", CLIENT / "client.py"],
        cwd=project,
        env=variables | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _result(client: subprocess.Popen[str]) -> Any:
    output, _ = client.communicate()
    assert client.returncode == 0, output
    *_, scored, ids = output.splitlines()
    return {**json.loads(ids), "scored": scored}


@pytest.fixture(scope="module", params=Packages)
def deployed(request: pytest.FixtureRequest, deployments: dict[Packages, Any]) -> Any:
    """Return the result of one client."""
    return deployments[request.param]


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
