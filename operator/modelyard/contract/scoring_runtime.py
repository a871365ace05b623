"""The scoring runtime in images: the modules of this package, and pinned dependencies.

The operator hashes the runtime into the tag of an image. The builder copies the runtime into the image.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parent.parent
RUNTIME_REQUIREMENTS: Final = Path(__file__).with_name("runtime-requirements.txt")


def runtime_files(package: Path = PACKAGE) -> tuple[Path, ...]:
    """Return the paths of the modules for images, relative to the folder `package` and sorted."""
    shared = (package / "__init__.py", package / "backoff.py")
    modules = (*shared, *(package / "scoring").rglob("*.py"))
    return tuple(sorted(path.relative_to(package) for path in modules))


@cache
def runtime_version(package: Path = PACKAGE) -> str:
    """Return 64 hexadecimal digits that change with every module and every pinned dependency of the runtime.

    An image with another version of the runtime is not reused.
    """
    digest = hashlib.sha256(RUNTIME_REQUIREMENTS.read_bytes())
    for path in runtime_files(package):
        content = (package / path).read_bytes()
        digest.update(f"\0{path.as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
