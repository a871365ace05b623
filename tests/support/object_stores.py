"""Servers of the S3, Azure and Google APIs on this machine, each with a bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from obstore.store import ObjectStore, from_url
from tests.support.azure_sas import account_sas
from tests.support.google_storage import google_storage
from tests.support.programs import program
from tests.support.servers import Server, free_port

KEY: Final = "bWVtZW1lbWVtZW1lbWVtZQ=="


@dataclass(frozen=True)
class Store:
    """A server with an empty bucket."""

    url: str
    server: Server
    variables: dict[str, str]
    """Credentials and the address, by the names of the tools and of Secrets."""

    def open(self) -> ObjectStore:
        """Open the store with the variables of the environment."""
        return from_url(self.url, client_options={"allow_http": True})  # type: ignore[call-overload,no-any-return]


@contextmanager
def s3_store(folder: Path) -> Iterator[Store]:
    """Run versitygw, whose objects outlive a kill."""
    port = free_port()
    for name in ("files/bucket", "about"):
        (folder / name).mkdir(parents=True)
    command = [program("versitygw"), "--port", f"127.0.0.1:{port}"]
    storage = ["posix", "--sidecar", folder / "about", folder / "files"]
    users = {"ROOT_ACCESS_KEY": "me", "ROOT_SECRET_KEY": KEY}
    with Server([*command, *storage], port, folder, environment=users) as server:
        variables = {"AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "us-east-1"}
        endpoint = {"AWS_ENDPOINT_URL": f"http://{server.address}"}
        yield Store("s3://bucket/prefix", server, variables | endpoint)


@contextmanager
def azure_store(folder: Path) -> Iterator[Store]:
    """Run Azurite, which forgets all blobs when it ends."""
    port = free_port()
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    accounts = {"AZURITE_ACCOUNTS": f"account:{KEY}"}
    with Server([program("azurite"), *options], port, folder, environment=accounts) as server:
        store = Store(
            "abfs://container@account.dfs.core.windows.net/prefix",
            server,
            {"AZURE_ENDPOINT": f"http://{server.address}/account", "AZURE_STORAGE_ACCOUNT_KEY": KEY},
        )
        create_container(store)
        yield store


@contextmanager
def gs_store(folder: Path) -> Iterator[Store]:
    """Run fake-gcs-server, whose objects outlive a kill. It accepts all credentials."""
    with google_storage(folder) as (url, server):
        address = {"gcs_base_url": url, "disable_oauth": True}
        account = {"client_email": "", "private_key": KEY, "private_key_id": ""}
        key = json.dumps(address | account)
        yield Store("gs://bucket/prefix", server, {"GOOGLE_SERVICE_ACCOUNT_KEY": key})


def create_container(store: Store) -> None:
    """Create the container of Azurite."""
    query = f"restype=container&{account_sas('rwc', KEY)}"
    httpx.put(f"{store.variables['AZURE_ENDPOINT']}/container?{query}").raise_for_status()
