"""The client azure-cli-ml 0.1.0a27.post3 of PyPI, which sends a driver with its model to a gateway.

With INPUT, it also scores this input at the scoring URI of the Service.

This script runs in an interpreter with the packages of requirements.txt. Two parts of Azure are replaced. The
token of the login is in the variable TOKEN, and a file for the storage account becomes a `data:` URL. The
working directory has the files of the user, and the folder AZURE_CONFIG_DIR the URL of the gateway. The
variables REQUIREMENTS and CONDA_FILE name the files of packages, both optional. The last line of the output
has the ids of Image and Service as JSON; the line before has the result of INPUT.
"""

from __future__ import annotations

import base64
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

ABSENT = (
    "adal", "azure.cli.core", "azure.graphrbac", "azure.mgmt", "azure.storage", "docker", "kubernetes",
    "msrest", "msrestazure", "paramiko", "scp", "tabulate",
)  # fmt: skip
BLOBS: dict[str, bytes] = {}


class Cloud(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the packages of Azure's services, with a mock for each of their names."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(name == absent or name.startswith(absent + ".") for absent in ABSENT):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> None:
        """Let Python make the module."""

    def exec_module(self, module: Any) -> None:
        if module.__name__ == "azure.storage.blob":
            module.BlockBlobService = BlockBlobService
        module.__getattr__ = mock


def mock(name: str) -> Any:
    """Return an exception class for the name of one, and a mock for other names."""
    return type(name, (Exception,), {}) if name.endswith(("Error", "Exception")) else MagicMock()


class BlockBlobService:
    """Azure's storage account: it keeps the blobs for `data:` URLs."""

    def __init__(self, **options: Any) -> None:
        pass

    def create_container(self, container: str) -> None:
        pass

    def create_blob_from_text(self, container: str, name: str, text: str, **options: Any) -> None:
        BLOBS[name] = text.encode()

    def create_blob_from_path(self, container: str, name: str, path: str, **options: Any) -> None:
        BLOBS[name] = Path(path).read_bytes()

    def generate_blob_shared_access_signature(self, *arguments: Any, **options: Any) -> str:
        return "signature"


def with_data_urls(value: Any) -> Any:
    """Return a payload of the client with each URL of the storage account replaced."""
    if isinstance(value, dict):
        return {key: with_data_urls(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_data_urls(item) for item in value]
    if isinstance(value, str) and ".blob.core.windows.net/" in value:
        blob = BLOBS[value.rsplit("/", 1)[1].partition("?")[0]]
        return "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
    return value


def main() -> None:
    sys.meta_path.insert(0, Cloud())
    package = "azure.cli.command_modules.ml"
    names = ("_util", "manifest", "image", "model", "service._realtime_mms")
    modules: list[Any] = [importlib.import_module(f"{package}.{name}") for name in names]
    util, _, image, _, service = modules
    for module in modules:
        module.get_auth_header = lambda: "Bearer " + os.environ["TOKEN"]
    util.MMS_ASYNC_OPERATION_POLLING_INTERVAL_SECONDS = 1  # the client's own is 5 s
    context = util.CommandLineInterfaceContext()
    context._account_name, context._account_key = "storage", "key"
    context.current_compute_name = context.current_compute_resource_group = "cluster"
    context.current_compute_subscription_id = "subscription"
    send = context.http_call

    def http_call(method: str, url: str, **options: Any) -> Any:
        if "json" in options:
            options["json"] = with_data_urls(options["json"])
        return send(method, url, **options)

    context.http_call = http_call
    name = os.environ["NAME"]
    _, image_id = image._image_create(
        image_name=name, image_description="of 2017", manifest_id=None, driver_file="score.py",
        schema_file="service_schema.json", dependencies=["lib"], runtime="python",
        requirements=os.environ.get("REQUIREMENTS"), conda_file=os.environ.get("CONDA_FILE"),
        model_files=["model.pkl"], verb=True, context=context,
    )  # fmt: skip
    _, service_id = service.mms_service_create(
        image_id=image_id, service_name=name, app_insights_logging_enabled=False,
        model_data_collection_enabled=False, num_replicas=1, autoscale_enabled=None,
        autoscale_min_replicas=None, autoscale_max_replicas=None, autoscale_target_utilization=None,
        autoscale_refresh_period_seconds=None,
        cpu="0.1", memory="0.5G", replica_max_concurrent_requests=1, verb=True, context=context,
    )  # fmt: skip
    if "INPUT" in os.environ:
        data = os.environ["INPUT"]
        service.mms_service_run(service_id=service_id, input_data=data, verb=False, context=context)
    print(json.dumps({"image": image_id, "service": service_id}))


if __name__ == "__main__":
    main()
