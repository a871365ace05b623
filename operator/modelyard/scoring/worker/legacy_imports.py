"""Imports of old drivers that work though their packages are not installed.

azureml.contrib.services is long gone from where drivers can install it, and
azureml_inference_server_http brings Flask and its pins. Installed ones win: this comes last.
"""

import importlib
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # nothing but names for mypy, and importlib.abc takes 15 ms to load

    class Loader: ...

    class MetaPathFinder: ...


_PACKAGES = (
    "azureml",
    "azureml.contrib",
    "azureml.contrib.services",
    "azureml_inference_server_http",
    "azureml_inference_server_http.api",
)
_MODULES = {
    f"{package}.{name}": f"modelyard.scoring.worker.{name}"
    for package in ("azureml.contrib.services", "azureml_inference_server_http.api")
    for name in ("aml_request", "aml_response")
}


class OldImports(MetaPathFinder, Loader):
    """Finds the old names when nobody else did."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname in _PACKAGES:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if fullname in _MODULES:
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        ours = _MODULES.get(module.__name__)
        if ours:
            # The module itself under a second name: its note of @rawhttp must be one.
            sys.modules[module.__name__] = importlib.import_module(ours)


def install() -> None:
    """Call it before the driver is imported."""
    sys.meta_path.append(OldImports())


def raw_http_requested() -> bool:
    """Whether @rawhttp was used, ours or that of an installed package."""
    ours = sys.modules.get("modelyard.scoring.worker.aml_request")
    if ours is not None and ours.raw_http_requested():
        return True
    installed = [module for name, module in sys.modules.items() if name.endswith("aml_request")]
    return any(getattr(module, "_rawHttpRequested", False) for module in installed)
