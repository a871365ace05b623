"""A server of the S3 API on this machine, whose objects outlive a kill."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Final

import pyarrow.parquet
from tests.support.programs import program
from tests.support.servers import Server, free_port

_SECRET: Final = "s3cret-of-the-benchmark"


class ObjectStore:
    """Context manager that runs versitygw with one bucket in `folder`."""

    def __init__(self, folder: Path) -> None:
        for name in ("files/bucket", "about"):
            (folder / name).mkdir(parents=True)
        port = free_port()
        listen = ["--port", f"127.0.0.1:{port}"]
        storage = ["posix", "--sidecar", folder / "about", folder / "files"]
        users = {"ROOT_ACCESS_KEY": "me", "ROOT_SECRET_KEY": _SECRET}
        self._server = Server([program("versitygw"), *listen, *storage], port, folder, environment=users)
        self._bucket = folder / "files" / "bucket"
        self.secret: Final = {
            "storageUrl": "s3://bucket/collected",
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_REGION": "us-east-1",
        }
        """Keys of the destination."""

    def __enter__(self) -> ObjectStore:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()

    def start(self) -> None:
        """Start the server again."""
        self._server.start()

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self._server.kill()

    def request_ids(self) -> Counter[int]:
        """Return the number of rows of each request in all objects."""
        ids: Counter[int] = Counter()
        for file in self._bucket.glob("collected/**/*.parquet"):
            column = pyarrow.parquet.ParquetFile(file).read(columns=["requestId"])["requestId"]
            ids.update(map(int, column.to_pylist()))
        return ids
