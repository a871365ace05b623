"""Installs by role: each part of the product starts with its extra alone, and names a missing extra."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import httpx
import pytest
import yaml
from tests.install.conftest import PATIENCE_SECONDS, Environment

from modelyard.contract.collection_pod import CollectorVariable

COMMANDS: Final = {
    "operator": ("operator", ["operator"]),
    "images": ("operator", ["images", "list"]),
    "gateway": ("gateway", ["gateway"]),
    "build": ("builder", ["build"]),
    "build-packages": ("builder", ["build-packages"]),
    "replay": (
        "replay",
        ["replay", "rows", "--namespace", "n", "--service", "s", "--from", "1h", "--image", "i"],
    ),
    "collect": ("collection", ["collect"]),
    "collected": ("replay", ["collected", "delete", "rows", "--namespace", "n", "--request-id", "r"]),
    "push": ("push", ["push", "model.joblib", "registry.example.com/models/diabetes:1"]),
}
"""The extra and the arguments of each command that needs an extra."""
MODULES: Final = {
    "": ("api", "contract", "scoring"),
    "operator": (
        "operator",
        "controller",
        "digest_lookup",
        "handlers",
        "image_gc",
        "kube",
        "oci",
        "reconcile",
        "cli.images",
    ),
    "gateway": ("gateway", "kube"),
    "builder": ("builder", "contract", "oci", "streams"),
    "push": ("cli.push", "oci"),
    "collection": ("collection", "object_stores"),
    "replay": ("cli.replay", "cli.collected", "collected", "replay"),
}
"""The modules and packages that an extra is for, with all that is in them."""
PROVIDES: Final = {"operator": {"operator", "push"}, "builder": {"builder", "push"}}
"""The extras whose packages another extra includes."""
WORKS: Final = {("collection", "collected")}
"""Extras, each with a command of another extra that needs no further package."""
IMPORT_ALL: Final = """
import importlib, pkgutil
for name in {names}:
    module = importlib.import_module(f"modelyard.{{name}}")
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{{module.__name__}}."):
        if found.name.rpartition(".")[2] not in {programs}:
            importlib.import_module(found.name)
"""
PROGRAMS: Final = ("__main__", "entry_module")
"""Modules that run a program, or the driver, when they are imported."""
DRIVERS: Final = ("numpy_schema", "pandas_schema")
"""Modules that import packages of the driver, which no extra brings."""
NO_CLUSTER: Final = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}

Installed = Callable[[str], Environment]


def write_yaml(file: Path, content: object) -> Path:
    """Write a YAML file and return its path."""
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


def get(url: str, process: subprocess.Popen[bytes]) -> httpx.Response:
    """Return the answer to a GET as soon as the process listens."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return httpx.get(url)
        except httpx.TransportError:
            assert process.poll() is None, "the process has ended"
            assert time.monotonic() < deadline, f"no answer from {url}"
            time.sleep(0.1)


@pytest.mark.parametrize("extra", MODULES)
def test_all_modules_of_a_role_import(installed: Installed, extra: str) -> None:
    installed(extra).python(IMPORT_ALL.format(names=MODULES[extra], programs=PROGRAMS + DRIVERS))


@pytest.mark.parametrize("extra", MODULES)
def test_commands_of_other_roles_name_their_extra(installed: Installed, extra: str) -> None:
    for command, (needed, arguments) in COMMANDS.items():
        if needed not in PROVIDES.get(extra, {extra}) and (extra, command) not in WORKS:
            run = installed(extra).run(*arguments)
            assert run.returncode == 2, run.stderr
            assert run.stderr.startswith(f"modelyard {command}: the Python package ")
            assert run.stderr.endswith(f" is not installed; run: pip install 'modelyard[{needed}]'\n")


def test_version_is_the_package_s(installed: Installed, wheel: Path) -> None:
    assert installed("").run("--version").stdout == f"modelyard {wheel.name.split('-')[1]}\n"


def test_driver_is_served_without_extras(installed: Installed, tmp_path: Path, port: int) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text("def init():\n    pass\n\ndef run(data):\n    return data\n", encoding="utf-8")
    with installed("").running("serve", driver, "--port", str(port), "--no-reload") as process:
        assert get(f"http://127.0.0.1:{port}/", process).is_success
        assert httpx.post(f"http://127.0.0.1:{port}/score", json=[1]).text == '"[1]"'


def test_crds_are_written_without_extras(installed: Installed, tmp_path: Path) -> None:
    run = installed("").run("crds", tmp_path / "crds")
    assert run.returncode == 0, run.stderr
    assert len(list((tmp_path / "crds").iterdir())) == 4


def test_operator_starts(installed: Installed, tmp_path: Path, port: int) -> None:
    config = write_yaml(tmp_path / "config", {"metricsPort": port, "livenessPort": 0})
    kubeconfig = write_yaml(tmp_path / "kubeconfig", NO_CLUSTER)
    variables = {"MODELYARD_CONFIG": config, "KUBECONFIG": kubeconfig, "USER": "modelyard"}
    with installed("operator").running("operator", **variables) as process:
        assert get(f"http://127.0.0.1:{port}/metrics", process).is_success


def test_gateway_starts(installed: Installed, tmp_path: Path, port: int) -> None:
    config = write_yaml(tmp_path / "config", {"host": "127.0.0.1", "port": port})
    with installed("gateway").running("gateway", MODELYARD_GATEWAY_CONFIG=config) as process:
        assert get(f"http://127.0.0.1:{port}/docs", process).is_success


def test_builder_starts(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text("{}", encoding="utf-8")
    run = installed("builder").run(
        "build",
        MODELYARD_BUILD_REQUEST=tmp_path / "request.json",
        MODELYARD_BUILD_WORKSPACE=tmp_path / "workspace",
        MODELYARD_TERMINATION_LOG=tmp_path / "result",
    )
    assert run.returncode == 1, run.stderr
    assert json.loads((tmp_path / "result").read_bytes())["error"]["code"] == "RequestInvalid"


def test_collector_starts(installed: Installed, tmp_path: Path, port: int) -> None:
    variables = {
        CollectorVariable.NAMESPACE: "team",
        CollectorVariable.SERVICE: "diabetes",
        CollectorVariable.POD: "pod-1",
        CollectorVariable.STORAGE: "true",
        CollectorVariable.EVENT_HUB: "true",
        CollectorVariable.SPOOL_DIR: tmp_path / "spool",
        CollectorVariable.STATE_DIR: tmp_path / "state",
        CollectorVariable.PORT: str(port),
    }
    (tmp_path / "spool").mkdir()
    with installed("collection").running("collect", **variables) as process:
        sinks = get(f"http://127.0.0.1:{port}/state", process).json()["sinks"]
    assert {name: sink["reason"] for name, sink in sinks.items()} == {
        "storage": "StorageNotConfigured",
        "eventHub": "EventHubNotConfigured",
    }


def test_sizes(installed: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    base = installed("")
    with capsys.disabled():
        print()
        for extra in MODULES:
            environment = installed(extra)
            name = f"modelyard[{extra}]" if extra else "modelyard"
            print(f"{name:20} {len(environment.packages):3} packages {environment.megabytes:6.0f} MB")
            assert environment.megabytes >= base.megabytes
