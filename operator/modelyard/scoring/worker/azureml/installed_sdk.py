"""The installed azure-ml-api-sdk and the collectors of Azure ML, made to work in the runtime.

The last version of the SDK is of 2017. So this is the first finder. It wraps two modules of the SDK, and
replaces the collectors. Those of 2017 and 2018 need C++ libraries of Ubuntu 16.04. That of
azureml-ai-monitoring sends data to a port that only Azure's containers have.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # only mypy needs the real classes, and importlib.abc takes 15 ms to load

    class Loader:
        """Stands in for the real class."""

    class MetaPathFinder:
        """Stands in for the real class."""


COLLECTORS = {
    "azureml.ai.monitoring": "ai_monitoring",
    "azureml.ai.monitoring.collector": "ai_monitoring",
    "azureml.ai.monitoring.context": "ai_context",
    "azureml.datacollector": "data_collector_of_2017",
    "azureml.datacollector.modeldatacollector": "data_collector_of_2017",
    "azureml.monitoring": "model_data_collector",
    "azureml.monitoring.modeldatacollector": "model_data_collector",
}
"""The modules of collectors, with the runtime's modules that have precedence."""


class InstalledSdk(MetaPathFinder, Loader):
    """Finds the modules that need changes, if they are installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for a module that is changed, None for all others."""
        if fullname in COLLECTORS:
            return ModuleSpec(fullname, self)
        change = _CHANGES.get(fullname)
        spec = PathFinder.find_spec(fullname, path) if change else None
        if spec is None or spec.loader is None or change is None:
            return None
        spec.loader = _Changed(spec.loader, change)
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return None: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Replace a collector by the runtime's."""
        name = COLLECTORS[module.__name__]
        sys.modules[module.__name__] = importlib.import_module(f"modelyard.scoring.worker.azureml.{name}")


class _Changed(Loader):
    """Loads an installed module, and then changes it."""

    def __init__(self, loader: Any, change: Callable[[Any], None]) -> None:
        self._loader = loader
        self._change = change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return what the module's own loader returns."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module's own code, then the change."""
        self._loader.exec_module(module)
        self._change(module)


class _ModuleWith:
    """A module with one function replaced, for one module that imports it."""

    def __init__(self, module: ModuleType, **functions: Any) -> None:
        self._module = module
        vars(self).update(functions)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _copy_if_needed(module: Any) -> None:
    """Let numpy copy: `copy=False` of numpy 1 means "if needed", and numpy 2 raises ValueError."""
    numpy = module.np

    def array(*arguments: Any, copy: Any = True, **options: Any) -> Any:
        return numpy.array(*arguments, **options) if copy else numpy.asarray(options.pop("object"), **options)

    module.np = _ModuleWith(numpy, array=array)


def _argument_names(module: Any) -> None:
    """Give generate_schema() inspect.getargspec(), which Python 3.11 has removed."""
    module.inspect = _ModuleWith(module.inspect, getargspec=module.inspect.getfullargspec)


_CHANGES: dict[str, Callable[[Any], None]] = {
    "azureml.api.schema.numpyUtil": _copy_if_needed,
    "azureml.api.realtime.services": _argument_names,
}
