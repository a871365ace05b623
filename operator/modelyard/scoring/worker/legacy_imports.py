"""Modules that old drivers import from packages which are not installed.

azureml.contrib.services can no longer be installed, azureml_inference_server_http brings Flask and pins its
version, and the others are large or need source distributions. An installed package has precedence: the
finder here is the last one. `installed_sdk` has the exceptions.
"""

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from modelyard.scoring.worker.azureml.installed_sdk import InstalledSdk

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # only mypy needs the real classes, and importlib.abc takes 15 ms to load

    class Loader:
        """Stands in for the real class."""

    class MetaPathFinder:
        """Stands in for the real class."""


_PACKAGES = (
    "azureml",
    "azureml.ai",
    "azureml.api",
    "azureml.api.exceptions",
    "azureml.api.realtime",
    "azureml.api.schema",
    "azureml.contrib",
    "azureml.contrib.services",
    "azureml.core",
    "azureml_inference_server_http",
    "azureml_inference_server_http.api",
)
_MODULES = {
    f"{package}.{name}": f"modelyard.scoring.worker.{name}"
    for package in ("azureml.contrib.services", "azureml_inference_server_http.api")
    for name in ("aml_request", "aml_response")
} | {"azureml_inference_server_http.log_config": "modelyard.scoring.worker.log_config"}
_MODULES |= {
    f"azureml.api.{name}": f"modelyard.scoring.worker.azureml.{module}"
    for module, names in {
        "api_exceptions": (
            "exceptions.ApiException",
            "exceptions.BadRequest",
            "exceptions.ClientSideException",
            "exceptions.InternalServerError",
            "exceptions.NotFound",
            "exceptions.ServerSideException",
            "exceptions.ServiceUnavailable",
            "exceptions.TooManyRequests",
            "exceptions.Unauthorized",
            "exceptions.UnsupportedMediaType",
        ),
        "numpy_schema": ("schema.numpyUtil",),
        "pandas_schema": ("schema.pandasUtil",),
        "python_schema": ("schema.pythonUtil",),
        "realtime_services": ("realtime.services", "realtime.swagger_spec_generator"),
        "schema_objects": ("schema.dataTypes", "schema.schemaObjects", "schema.utilities"),
        "service_schema": ("schema.sampleDefinition", "schema.schemaUtil"),
    }.items()
    for name in names
}
_MODULES |= {
    "azureml.assets": "modelyard.scoring.worker.azureml.assets",
    "azureml.core.model": "modelyard.scoring.worker.azureml.model",
    "azureml.logging": "modelyard.scoring.worker.azureml.workbench_logging",
    "pkg_resources": "modelyard.scoring.worker.azureml.namespace_packages",
}

_VERSION = "1.5.1"
"""The version of azureml_inference_server_http whose contract the runtime follows."""


class LegacyFinder(MetaPathFinder, Loader):
    """Finds the legacy modules if no other finder does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for a legacy package or module, None for all others."""
        if fullname in _PACKAGES:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if fullname in _MODULES:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """Return None: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Replace a legacy module by the runtime's module."""
        runtime_module = _MODULES.get(module.__name__)
        if runtime_module:
            # Not a copy: both names must share the module's state, which says whether @rawhttp is used.
            sys.modules[module.__name__] = importlib.import_module(runtime_module)
        elif module.__name__ == "azureml_inference_server_http":
            vars(module)["__version__"] = _VERSION
        elif module.__name__ == "azureml.core":
            vars(module)["Model"] = importlib.import_module("azureml.core.model").Model


def install() -> None:
    """Install the finders, before the driver is imported."""
    sys.meta_path.insert(0, InstalledSdk())
    sys.meta_path.append(LegacyFinder())


def raw_http_requested() -> bool:
    """Return True if the driver uses @rawhttp, the runtime's or that of an installed package."""
    runtime_module = sys.modules.get("modelyard.scoring.worker.aml_request")
    if runtime_module is not None and runtime_module.raw_http_requested():
        return True
    installed = [module for name, module in sys.modules.items() if name.endswith("aml_request")]
    return any(getattr(module, "_rawHttpRequested", False) for module in installed)
