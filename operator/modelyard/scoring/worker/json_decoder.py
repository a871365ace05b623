"""JSON of requests: the values and errors of the standard library, in a tenth of its time.

msgspec decodes. Its copy is in the runtime's folder, and no module of the driver can see the copy. A document
that msgspec refuses goes to the standard library, which words the errors. It accepts more: NaN, half of a
surrogate pair, 1e400, UTF-16, a byte order mark. Unlike orjson, msgspec keeps all digits of large integers.
"""

import importlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from modelyard.scoring.worker.bundled_packages import RUNTIME

_PACKAGE: Final = "msgspec"
_CORE: Final = "msgspec._core"

_WRAPPERS: Final = 3 if sys.version_info < (3, 12) else 1
"""Arrays around each document, so that the deepest one that msgspec takes is that of the standard library.

msgspec takes one level more. Up to Python 3.11 each function call is a level, too: json.loads() has two more
than the function here.
"""
_BEFORE: Final = b"[" * _WRAPPERS
_AFTER: Final = b"]" * _WRAPPERS


def json_decoder() -> Callable[[bytes | memoryview], Any]:
    """Return a function that decodes JSON as json.loads() does; json.loads() if msgspec is not installed.

    The function raises ValueError or RecursionError. It may be called by several threads at once.
    """
    core = _load_core(RUNTIME / _PACKAGE)
    if core is None:
        return _standard
    decode = core.JSONDecoder().decode

    def decoded(document: bytes | memoryview) -> Any:
        try:
            value = decode(b"".join((_BEFORE, document, _AFTER)))
            for _ in range(_WRAPPERS):
                (value,) = value  # fails for `1,2`, and for `1],[2`
        except Exception:
            return _standard(document)
        return value

    return decoded


def _standard(document: bytes | memoryview) -> Any:
    return json.loads(bytes(document))


def _load_core(folder: Path) -> ModuleType | None:
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
