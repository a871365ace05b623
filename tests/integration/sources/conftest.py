"""Servers of the S3, Google Storage and Azure APIs on this machine."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx
import obstore
import pytest
from obstore.store import S3Store
from tests.support.azure_sas import account_sas
from tests.support.breaking_proxy import BreakingProxy
from tests.support.programs import program
from tests.support.servers import Server, free_port

NAME: Final = "deep/model a.pkl"
SECRET: Final = base64.b64encode(b"s3cret" * 6).decode()
WRONG: Final = base64.b64encode(b"wr0ng!" * 6).decode()


@dataclass(frozen=True)
class Store:
    """An object store with one object."""

    url: str
    server: Server
    put: Callable[[bytes], None]
    """Write the object."""
    credentials: Callable[[str], dict[str, str]]
    """Return the data of a Secret for the server at an address."""
    wrong: dict[str, str] | None
    """Keys of the Secret with values that the server rejects, None if the server accepts any."""
    signed_url: Callable[[str], str] | None = None
    """Return a signed http URL of the object at an address, valid for some minutes."""


@pytest.fixture(scope="module", params=["s3", "gs", "abfs"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A server of each API. A test writes the object that it needs."""
    start = {"s3": _s3, "gs": _gs, "abfs": _abfs}[request.param]
    with start(tmp_path_factory.mktemp(request.param)) as store:
        yield store


@pytest.fixture
def proxy(store: Store) -> Iterator[BreakingProxy]:
    """A proxy to the store that closes connections."""
    proxy = BreakingProxy((store.server.host, store.server.port))
    yield proxy
    proxy.stop()


@contextmanager
def _s3(folder: Path) -> Iterator[Store]:
    port = free_port()
    for name in ("files/bucket", "about"):
        (folder / name).mkdir(parents=True)
    listen = ["--port", f"127.0.0.1:{port}"]
    storage = ["posix", "--sidecar", folder / "about", folder / "files"]
    users = {"ROOT_ACCESS_KEY": "me", "ROOT_SECRET_KEY": SECRET}

    def credentials(address: str) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": SECRET}
        return keys | {"AWS_ENDPOINT_URL": f"http://{address}", "AWS_REGION": "us-east-1"}

    def opened(address: str) -> S3Store:
        config = {key.lower(): value for key, value in credentials(address).items()}
        return S3Store("bucket", config=config, client_options={"allow_http": True})  # type: ignore[arg-type]

    with Server([program("versitygw"), *listen, *storage], port, folder, environment=users) as server:
        yield Store(
            url=f"s3://bucket/{quote(NAME)}",
            server=server,
            put=lambda content: (obstore.put(opened(server.address), NAME, content), None)[1],
            credentials=credentials,
            wrong={"AWS_SECRET_ACCESS_KEY": WRONG},
            signed_url=lambda address: obstore.sign(opened(address), "GET", NAME, dt.timedelta(minutes=9)),
        )


@contextmanager
def _gs(folder: Path) -> Iterator[Store]:
    """Start fake-gcs-server, which accepts every key, even an invalid one."""
    port = free_port()
    listen = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    options = [*listen, "-backend", "memory", "-public-host", "127.0.0.1"]

    def credentials(address: str) -> dict[str, str]:
        key = {"gcs_base_url": f"http://{address}", "disable_oauth": True, "client_email": ""}
        return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key | {"private_key": SECRET, "private_key_id": ""})}

    with Server([program("fake-gcs-server"), *options], port, folder) as server:
        with httpx.Client(base_url=f"http://{server.address}") as client:
            client.post("/storage/v1/b", json={"name": "bucket"}).raise_for_status()

        def put(content: bytes) -> None:
            url = f"http://{server.address}/upload/storage/v1/b/bucket/o"
            query = {"uploadType": "media", "name": NAME}
            httpx.post(url, params=query, content=content).raise_for_status()

        yield Store(f"gs://bucket/{quote(NAME)}", server, put, credentials, wrong=None)


@contextmanager
def _abfs(folder: Path) -> Iterator[Store]:
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    environment = {"AZURITE_ACCOUNTS": f"account:{SECRET}"}

    def at(address: str, path: str, sas: str) -> str:
        return f"http://{address}/account/container/{path}?{sas}"

    def put(content: bytes) -> None:
        write_sas = account_sas("rwc", SECRET)
        created = httpx.put(at(server.address, "", f"restype=container&{write_sas}"))
        assert created.status_code in {201, 409}
        headers = {"x-ms-blob-type": "BlockBlob"}
        url = at(server.address, quote(NAME), write_sas)
        httpx.put(url, content=content, headers=headers, timeout=30).raise_for_status()

    with Server([program("azurite"), *options], port, folder, environment=environment) as server:
        yield Store(
            url=f"abfs://container@account.dfs.core.windows.net/{quote(NAME)}",
            server=server,
            put=put,
            credentials=lambda address: {
                "AZURE_ENDPOINT": f"http://{address}/account",
                "AZURE_STORAGE_SAS_KEY": account_sas("r", SECRET),
            },
            wrong={"AZURE_STORAGE_SAS_KEY": account_sas("r", WRONG)},
            signed_url=lambda address: at(address, quote(NAME), account_sas("r", SECRET)),
        )
