"""The Python of a base image as a conda package, for machines that do not reach conda's channels."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Final

import docker
from tests.support.conda import CondaPackage

# Debian's Python does not search the folder site-packages, where conda installs packages.
_SITE: Final = b"""
import site, sys
site.addsitedir(f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages")
"""
_NOT_NEEDED: Final = {"test", "site-packages", "dist-packages", "__pycache__"}


def python_of_image(base: str) -> CondaPackage:
    """Return the Python of an image as the conda package `python`. The engine is that of DOCKER_HOST."""
    engine = docker.from_env()
    try:
        return _python(base, engine)
    finally:
        engine.close()


def _python(base: str, engine: docker.DockerClient) -> CondaPackage:
    describe = ["python3", "-c", "import sys; print(sys.base_prefix, *sys.version_info[:3])"]
    prefix, *numbers = engine.containers.run(base, describe, remove=True, entrypoint=[]).decode().split()
    program = f"python{'.'.join(numbers[:2])}"
    container = engine.containers.create(base)
    try:
        files = {
            f"{folder}/{name}": content
            for folder in ("bin", "lib")
            for name, content in _files(container, f"{prefix}/{folder}/{program}")
        }
    finally:
        container.remove()
    return CondaPackage(
        "python",
        ".".join(numbers),
        files=files | {f"lib/{program}/sitecustomize.py": _SITE},
        executable=[f"bin/{program}"],
        links={"bin/python3": program},
    )


def _files(container: docker.models.containers.Container, path: str) -> Iterator[tuple[str, bytes]]:
    """Yield the path and content of each file that Python needs, relative to the parent folder."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        for entry in archive:
            file = archive.extractfile(entry) if entry.isreg() else None
            if file and not _NOT_NEEDED.intersection(entry.name.split("/")):
                yield entry.name, file.read()
