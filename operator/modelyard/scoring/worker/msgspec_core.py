"""The compiled module of msgspec, from the runtime's folder. No module of the driver can see it.

Only drivers with decorators or type hints load it: 20 ms and 1 MB.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from modelyard.scoring.worker.bundled_packages import RUNTIME

_PACKAGE: Final = "msgspec"
_CORE: Final = "msgspec._core"

core: ModuleType | None = None
"""The module, if load() has loaded it."""


def load() -> ModuleType | None:
    """Load the module once, before the first request. Return None if msgspec is not installed."""
    global core  # noqa: PLW0603
    if core is None:
        core = _import_from(RUNTIME / _PACKAGE)
    return core


def _import_from(folder: Path) -> ModuleType | None:
    """Import msgspec's compiled module from a folder, and remove its names from sys.modules.

    The module imports another one by its full name. So the names are set during the import. Then those of the
    driver's own msgspec are restored.
    """
    if not folder.is_dir():
        return None
    drivers = importlib.util.find_spec(_PACKAGE)
    if drivers is not None and drivers.origin is not None and folder.samefile(Path(drivers.origin).parent):
        return importlib.import_module(_CORE)  # `modelyard serve`: one environment for runtime and driver
    own = _remove_modules()
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[_PACKAGE] = package
    try:
        return importlib.import_module(_CORE)
    finally:
        _remove_modules()
        sys.modules.update(own)


def _remove_modules() -> dict[str, ModuleType]:
    """Remove msgspec and its modules from sys.modules, and return them."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]
    return {name: sys.modules.pop(name) for name in names}
