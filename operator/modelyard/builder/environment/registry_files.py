"""Files of the registry that the guard of a build serves to the installation of packages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from modelyard.builder.base_system.system import LAYER_HOST

WHEEL_HOST: Final = "wheels.modelyard.invalid"
"""Host of the guard's own URLs: http://<host>/<key> is a cached wheel. No DNS has the name (RFC 6761)."""
HOSTS: Final = frozenset({WHEEL_HOST, LAYER_HOST})


class OpenFile(NamedTuple):
    """A file of the registry."""

    name: str
    digest: str
    size: int
    chunks: Iterator[bytes]


FileReader = Callable[[str], AbstractContextManager[OpenFile | None]]
"""Opens a file by its key. None if the registry does not have it."""
RegistryFiles = Mapping[str, FileReader]
"""The readers of files by the host of their URLs."""
