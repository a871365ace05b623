"""Which packages an image has that an engine built: their metadata, out of a container that never starts."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import docker
from docker.errors import NotFound

from modelyard.builder.environment.packages import (
    Package,
    find_packages,
)
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME

_METADATA: Final = re.compile(r"(?:.*/)?([^/]+\.dist-info/(?:METADATA|RECORD)|conda-meta/[^/]+\.json)")


def installed(client: docker.APIClient, image: str, folder: Path) -> list[Package]:
    """Packages of the environment and of the runtime; `folder` is a new one for their metadata."""
    with _container(client, image) as container:
        for number, path in enumerate((ENVIRONMENT, RUNTIME)):
            try:
                stream, _ = client.get_archive(container, path)
            except NotFound:  # an image without requirements has no environment
                continue
            with tarfile.open(fileobj=cast("IO[bytes]", _Stream(stream)), mode="r|") as tar:
                _extract(tar, folder / str(number))
    return find_packages(folder)


def _extract(tar: tarfile.TarFile, folder: Path) -> None:
    for member in tar:
        named = _METADATA.fullmatch(member.name)
        content = tar.extractfile(member) if named and member.isfile() else None
        if named and content:
            file = folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read())


@contextmanager
def _container(client: docker.APIClient, image: str) -> Iterator[str]:
    container = client.create_container(image)["Id"]
    try:
        yield container
    finally:
        client.remove_container(container, force=True)


class _Stream(io.RawIOBase):
    """Chunks, read as a file."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and (chunk := next(self._chunks, b"")):
            self._left += chunk
        taken, self._left = self._left[:size], self._left[size:]
        return taken
