"""The scoring runtime as it goes into images: the package's own code and its pinned dependencies."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent.parent
RUNTIME_REQUIREMENTS: Final = Path(__file__).with_name("runtime-requirements.txt")


def runtime_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """The modules that an image needs, relative to the folder of `package`; sorted."""
    modules = (package / "__init__.py", *(package / "scoring").rglob("*.py"))
    return tuple(sorted(path.relative_to(package) for path in modules))


@cache
def runtime_version(package: Path = PACKAGE) -> str:
    """64 hexadecimal digits that change with any of it: images built with another one are not reused."""
    digest = hashlib.sha256(RUNTIME_REQUIREMENTS.read_bytes())
    for path in runtime_files(package):
        content = (package / path).read_bytes()
        digest.update(f"\0{path.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
