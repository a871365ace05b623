"""Models of incompressible random bytes, and a web server for them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.servers import Server, free_port

MB: Final = 1_000_000
_CHUNK: Final = 10 * MB
_SERVER: Final = Path(__file__).with_name("web_server.py")


@dataclass(frozen=True)
class Model:
    """A file, its URL and its digest."""

    file: Path
    url: str
    digest: str


@dataclass(frozen=True)
class Source:
    """A folder that a web server serves."""

    folder: Path
    address: str

    @contextlib.contextmanager
    def model(self, size: int) -> Iterator[Model]:
        """Create a new model of `size` bytes for the context."""
        path = self.folder / f"{uuid.uuid4().hex}.bin"
        sha256 = hashlib.sha256()
        with path.open("wb") as file:
            for done in range(0, size, _CHUNK):
                chunk = os.urandom(min(_CHUNK, size - done))
                sha256.update(chunk)
                file.write(chunk)
        try:
            yield Model(path, f"http://{self.address}/{path.name}", f"sha256:{sha256.hexdigest()}")
        finally:
            path.unlink()


@contextlib.contextmanager
def source(folder: Path) -> Iterator[Source]:
    """Run a web server on a free port during the context."""
    folder.mkdir()
    port = free_port()
    with Server([sys.executable, _SERVER, str(port), str(folder)], port, folder) as server:
        yield Source(folder, server.address)
