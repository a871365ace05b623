"""The system of a base image in a folder: its Python, compilers and libraries, for builds of packages."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, Final, cast

from pydantic import BaseModel, ConfigDict

from modelyard.builder.base_system.layer_files import LayerFiles
from modelyard.builder.base_system.loader import redirect_programs, write_loader_cache
from modelyard.contract.errors import PackageIndexUnavailableError, SourceBuildFailedError

LAYER_HOST: Final = "base-layers.modelyard.invalid"
"""Host of the guard's own URLs: http://<host>/<digest> is a layer. No DNS has the name (RFC 6761)."""
_CONFIG: Final = ConfigDict(frozen=True, extra="forbid")
_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"
_TAR: Final = "application/vnd.oci.image.layer.v1.tar"
_SECONDS: Final = 300.0
_ATTEMPTS: Final = 3
_COMPILER: Final = re.compile(
    r"(?:[\w.]+-)*(?:cc|c\+\+|cpp|gcc|g\+\+|gfortran|clang|clang\+\+|f77|f95)(?:-[\d.]+)?"
)

_WRAPPER: Final = """#!/bin/sh
for argument do
  shift
  case $argument in
    -[IL]/*) path=${{argument#-?}}; [ ! -e "{root}$path" ] || argument=${{argument%"$path"}}{root}$path ;;
  esac
  set -- "$@" "$argument"
done
exec "{compiler}" --sysroot="{root}" "$@"
"""
"""A compiler with the root of its headers and libraries. The root is put before paths in options, too."""


class BaseLayer(BaseModel):
    """One layer of a base image."""

    model_config = _CONFIG

    media_type: str
    """The OCI media type."""
    digest: str


class BaseFiles(BaseModel):
    """The layers of a base image, which the guard serves, and the folders of its programs."""

    model_config = _CONFIG

    layers: tuple[BaseLayer, ...]
    path: tuple[str, ...]
    """The folders in the variable PATH of the image's config."""


class BaseSystem(BaseModel):
    """The unpacked files of a base image."""

    model_config = _CONFIG

    folder: Path
    path: tuple[str, ...]
    """The folders of programs in the image."""
    cache: Path
    """Path of a link to the list of libraries, of at most CACHE_PATH_BYTES. See loader.py."""

    @property
    def root(self) -> Path:
        """Return the folder with the files."""
        return self.folder / "root"

    @property
    def cache_file(self) -> Path:
        """Return the target of the link `cache`."""
        return self.folder / "libraries"

    @property
    def variables(self) -> dict[str, str]:
        """Return the variables with which programs of the base image find each other."""
        places = ("lib/*-linux-gnu*/pkgconfig", "lib*/pkgconfig", "share/pkgconfig")
        found = [folder for pattern in places for folder in sorted((self.root / "usr").glob(pattern))]
        return {
            "PATH": os.pathsep.join(map(str, [self._compilers, *self._folders])),
            "PKG_CONFIG_SYSROOT_DIR": str(self.root),
            "PKG_CONFIG_LIBDIR": os.pathsep.join(map(str, found)),
        }

    @property
    def _compilers(self) -> Path:
        return self.folder / "compilers"

    @property
    def _folders(self) -> Iterator[Path]:
        return (self.root / folder.lstrip("/") for folder in self.path)

    def python(self, minor: str) -> Path | None:
        """Return the Python of a minor version, None if the base image has none in its PATH."""
        found = shutil.which(f"python{minor}", path=self.variables["PATH"])
        return Path(found) if found else None

    def prepare(self, base: BaseFiles, proxy: str) -> None:
        """Download and unpack the base image into `folder`, which is new, through the guard at a URL.

        Raises SourceBuildFailedError if programs of the base image cannot run from a folder, and
        PackageIndexUnavailableError if a layer cannot be read.
        """
        self.folder.mkdir()
        files = LayerFiles(self.root)
        for layer in base.layers:
            _add(files, layer, proxy)
        loader = redirect_programs(self.root, files.programs, str(self.cache))
        if loader is None:
            raise SourceBuildFailedError(
                "the base image has no C library that builds know: use one with glibc"
            )
        write_loader_cache(self.root, loader, self.cache_file)
        self._compilers.mkdir()
        for folder in self._folders:
            for program in sorted(folder.glob("*")):
                if _COMPILER.fullmatch(program.name):
                    self._wrap(program)

    def _wrap(self, compiler: Path) -> None:
        """Write a script that starts a compiler with the root of its headers and libraries."""
        script = self._compilers / compiler.name
        if not script.exists() and os.access(compiler, os.X_OK):
            script.write_text(_WRAPPER.format(compiler=compiler, root=self.root))
            script.chmod(0o755)


def _add(files: LayerFiles, layer: BaseLayer, proxy: str) -> None:
    """Download and unpack a layer. It may be added twice: the second time changes nothing."""
    if layer.media_type not in {_TAR, _GZIP}:
        raise SourceBuildFailedError(f"the base image has a layer of the type {layer.media_type}: use gzip")
    for attempt in range(_ATTEMPTS):
        try:
            with _open(layer, proxy) as stream:
                files.add(stream)
        except (OSError, EOFError, HTTPException, tarfile.TarError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            if attempt == _ATTEMPTS - 1:
                raise PackageIndexUnavailableError(
                    f"the layer {layer.digest} of the base image cannot be unpacked: {error}"
                ) from None
        else:
            return


@contextmanager
def _open(layer: BaseLayer, proxy: str) -> Iterator[IO[bytes]]:
    """Open the tar of a layer. Raises OSError at the end of a layer with another digest."""
    import urllib.request  # noqa: PLC0415 - one of the jobs of a process needs it

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy}))
    with opener.open(f"http://{LAYER_HOST}/{layer.digest}", timeout=_SECONDS) as response:
        hashed = _Hashed(response)
        stream = cast("IO[bytes]", hashed)
        if layer.media_type == _GZIP:
            with gzip.GzipFile(fileobj=stream) as decompressed:
                yield cast("IO[bytes]", decompressed)
        else:
            yield stream
        hashed.check(layer.digest)


class _Hashed:
    """A stream that hashes the bytes that are read."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def check(self, digest: str) -> None:
        while self.read(64 * 1024):
            pass
        if digest != f"sha256:{self._hash.hexdigest()}":
            raise OSError(f"its bytes have the digest sha256:{self._hash.hexdigest()}")
