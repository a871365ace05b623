"""werkzeug for drivers whose environment has none: AMLRequest and AMLResponse are werkzeug's classes.

The copy is in the runtime's folder, which is not in the driver's sys.path. A version among the driver's own
packages has precedence: the finder here is one of the last.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from importlib.abc import Loader, MetaPathFinder
else:  # only mypy needs the real classes, and importlib.abc takes 15 ms to load

    class Loader:
        """Stands in for the real class."""

    class MetaPathFinder:
        """Stands in for the real class."""


RUNTIME: Final = Path(__file__).resolve().parents[3]
"""The folder of the runtime and of its packages."""

_WERKZEUG: Final = "werkzeug"
_EXPORTS: Final = {
    "Client": "werkzeug.test",
    "Request": "werkzeug.wrappers",
    "Response": "werkzeug.wrappers",
    "run_simple": "werkzeug.serving",
}
"""Names that the package werkzeug itself exports, with their modules."""


class BundledPackages(MetaPathFinder, Loader):
    """Finds werkzeug and markupsafe in the runtime's folder if no earlier finder does."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for the two packages, None for all others."""
        if fullname == "markupsafe":
            return PathFinder.find_spec(fullname, [str(RUNTIME)])
        if fullname != _WERKZEUG or not (RUNTIME / _WERKZEUG).is_dir():
            return None
        spec = ModuleSpec(fullname, self, is_package=True)
        spec.submodule_search_locations = [str(RUNTIME / _WERKZEUG)]
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Return None: Python makes the module."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Import what werkzeug exports at first use: its own code imports a web server, 40 ms and 3 MB."""

        def attribute(name: str) -> Any:
            if name not in _EXPORTS:
                raise AttributeError(f"module {_WERKZEUG!r} has no attribute {name!r}")
            return getattr(importlib.import_module(_EXPORTS[name]), name)

        vars(module)["__getattr__"] = attribute


def install() -> None:
    """Install the finder, before the driver is imported."""
    sys.meta_path.append(BundledPackages())
