"""Signs that an environment file was exported on another platform than that of the image.

The solver reports one missing package at a time, and not the cause.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FOREIGN: Final = frozenset(
    {
        "console_shortcut",
        "console_shortcut_miniconda",
        "menuinst",
        "msys2-conda-epoch",
        "powershell_shortcut",
        "powershell_shortcut_miniconda",
        "pywin32",
        "pywin32-ctypes",
        "pywinpty",
        "ucrt",
        "vc",
        "vc14_runtime",
        "vcomp14",
        "vs2015_runtime",
        "vs2017_runtime",
        "win_inet_pton",
        "wincertstore",
        "winpty",
        "appnope",
        "applaunchservices",
        "python.app",
        "pyobjc-core",
    }
)
"""Packages that only Windows or macOS has."""
_PREFIXES: Final = ("m2w64-", "m2-", "pyobjc-framework-")
_WITH_BUILD: Final = re.compile(r"(?:\S+::)?[\w.-]+\s*==?\s*[^=\s]+\s*=\s*[^=\s]+")
_NAME: Final = re.compile(r"(?:\S+::)?\s*([\w.-]+)")
_EXPORT: Final = "`conda env export --from-history` writes a file for all platforms"


def export_hint(dependencies: Iterable[str]) -> str | None:
    """Return the way out for a file of another platform, None without a sign of one."""
    specs = list(dependencies)
    names = [found[1] for spec in specs if (found := _NAME.match(spec))]
    foreign = [name for name in names if _is_foreign(name.lower())]
    builds = sum(_WITH_BUILD.fullmatch(spec) is not None for spec in specs)
    if foreign:
        return (
            f"the file is an export of Windows or macOS: remove {', '.join(foreign)}, which Linux does not"
            f" have, and all builds (name=version=build). {_EXPORT}"
        )
    if builds:
        return (
            f"{builds} dependencies have a build (name=version=build), which exists for one platform only:"
            f" remove the builds. {_EXPORT}"
        )
    return None


def _is_foreign(name: str) -> bool:
    return name in _FOREIGN or name.startswith(_PREFIXES)
