"""The packages of an image that a Docker engine has built.

Their metadata is copied out of a container that is created from the image and never started.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import docker
from docker.errors import NotFound

from modelyard.builder.docker.chunk_reader import open_chunks
from modelyard.builder.environment.packages import Package, find_packages
from modelyard.contract.image_layout import ENVIRONMENT, RUNTIME

_METADATA: Final = re.compile(r"(?:.*/)?([^/]+\.dist-info/(?:METADATA|RECORD)|conda-meta/[^/]+\.json)")


def read_installed_packages(client: docker.APIClient, image: str, folder: Path) -> list[Package]:
    """Return the packages of an image's environment and of its scoring runtime.

    Their metadata is copied into `folder`, which must not exist yet.
    """
    with _container(client, image) as container:
        for number, path in enumerate((ENVIRONMENT, RUNTIME)):
            try:
                chunks, _ = client.get_archive(container, path)
            except NotFound:  # an image without requirements has no environment
                continue
            with tarfile.open(fileobj=open_chunks(chunks), mode="r|") as tar:
                _extract_metadata(tar, folder / str(number))
    return find_packages(folder)


def _extract_metadata(tar: tarfile.TarFile, folder: Path) -> None:
    for member in tar:
        match = _METADATA.fullmatch(member.name)
        content = tar.extractfile(member) if match and member.isfile() else None
        if match and content:
            file = folder / match[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.read())


@contextmanager
def _container(client: docker.APIClient, image: str) -> Iterator[str]:
    container = client.create_container(image)["Id"]
    try:
        yield container
    finally:
        client.remove_container(container, force=True)
