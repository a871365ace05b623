"""The stores of three clouds with a bucket of each tenant, for downloads with identities of ServiceAccounts.

    cloud   token service                              store
    ------  -----------------------------------------  --------------------------------------------------
    AWS     versitygw                                  versitygw: verifies signature and session token,
                                                       asks the policies of the role
    Azure   stand-in                                   Azurite: verifies TLS, issuer and expiry of the access
                                                       token, and the storage account in its audience
    Google  stand-in                                   stand-in before fake-gcs-server, which verifies
                                                       nothing: compares access token and bucket

Each token service verifies signature, issuer, audience, subject and expiry of the ServiceAccount's token.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography.exceptions import InvalidSignature
from tests.support.aws_account import aws_account, role_arn
from tests.support.certificates import certificate_for
from tests.support.clouds import AUDIENCES, Clouds, token_of
from tests.support.openid_issuer import Issuer, unpadded
from tests.support.programs import program
from tests.support.servers import Server, free_port

from modelyard.contract.cloud_identity import Cloud, CloudIdentity
from modelyard.oci.registry_config import RegistryAccess

ACCOUNT: Final = "reader"
"""Name of the ServiceAccount in the namespace of each tenant."""
OBJECT: Final = "model.pkl"
_KEY: Final = base64.b64encode(b"s3cret" * 6).decode()


def content_of(tenant: str) -> bytes:
    """Return the content of the object in the bucket of a tenant."""
    return f"the model of {tenant}".encode()


@dataclass(frozen=True)
class CloudStore:
    """The token service and the store of one cloud."""

    cloud: Cloud
    url: Callable[[str], str]
    """Return the URL of the object in the bucket of a tenant."""
    fields: Callable[[str, str], dict[str, Any]]
    """Return fields of the identity of a tenant for the bucket of a tenant."""
    revoke: Callable[[str], None]
    """End the rights of a tenant's credentials."""
    access: RegistryAccess = field(default_factory=RegistryAccess)

    @property
    def audience(self) -> str:
        """Return the audience of the ServiceAccounts' tokens."""
        return AUDIENCES[self.cloud]

    def identity(self, tenant: str, bucket: str, token: str) -> CloudIdentity:
        """Return the identity of the ServiceAccount of a tenant, for the bucket of a tenant."""
        return CloudIdentity(
            cloud=self.cloud,
            service_account=f"{tenant}/{ACCOUNT}",
            token_audience=self.audience,
            token=token,
            **self.fields(tenant, bucket),
        )


def subject_of(tenant: str) -> str:
    """Return the subject of the tokens of a tenant's ServiceAccount."""
    return f"system:serviceaccount:{tenant}:{ACCOUNT}"


@contextmanager
def aws(issuer: Issuer, tenants: Sequence[str], folder: Path) -> Iterator[CloudStore]:
    """Run the servers of an account with a role and a bucket of each tenant."""
    with aws_account(issuer, folder) as account:
        for tenant in tenants:
            account.put(f"bucket-{tenant}", OBJECT, content_of(tenant))
            account.add_role(f"reader-{tenant}", subject=subject_of(tenant), bucket=f"bucket-{tenant}")
        service = {"token_url": account.token_url, "endpoint": account.endpoint, "region": "us-east-1"}
        yield CloudStore(
            Cloud.AWS,
            lambda bucket: f"s3://bucket-{bucket}/{OBJECT}",
            lambda tenant, _: service | {"account": role_arn(f"reader-{tenant}")},
            lambda tenant: account.remove_role(f"reader-{tenant}"),
        )


def azure_access_token(storage_account: str, *, expires_in: float) -> str:
    """Return an access token for one storage account, as Azurite reads it: the signature is not verified."""
    now = int(time.time())
    claims = {
        "aud": f"https://{storage_account}.blob.core.windows.net",
        "iss": "https://sts.windows.net/tenant-id/",
        "iat": now - 7200,
        "nbf": now - 7200,
        "exp": int(now + expires_in),
    }
    parts = ({"alg": "RS256", "typ": "JWT"}, claims)
    return ".".join(unpadded(json.dumps(part).encode()) for part in parts) + ".c2ln"


@contextmanager
def azure(clouds: Clouds, tenants: Sequence[str], folder: Path) -> Iterator[CloudStore]:
    """Run Azurite with a storage account of each tenant."""
    port = free_port()
    certificate = certificate_for("127.0.0.1", folder)
    options = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--silent"]
    options += ["--oauth", "basic", "--cert", certificate.certificate, "--key", certificate.key]
    accounts = ";".join(f"{_storage_account(tenant)}:{_KEY}" for tenant in tenants)
    seconds: dict[str, float] = {}

    def access_token(client: str) -> str:
        account = client.removeprefix("client-")
        return azure_access_token(account, expires_in=seconds.get(account, 3600))

    def expire(tenant: str) -> None:
        seconds[_storage_account(tenant)] = -60

    clouds.access_token = access_token
    with Server([program("azurite"), *options], port, folder, environment={"AZURITE_ACCOUNTS": accounts}):
        address = f"https://127.0.0.1:{port}"
        for tenant in tenants:
            clouds.trust[f"client-{_storage_account(tenant)}"] = f"{tenant}/{ACCOUNT}"
            _put_blob(address, _storage_account(tenant), content_of(tenant), certificate.authority)
        yield CloudStore(
            Cloud.AZURE,
            lambda bucket: f"abfs://models@{_storage_account(bucket)}.dfs.core.windows.net/{OBJECT}",
            lambda tenant, bucket: {
                "account": f"client-{_storage_account(tenant)}",
                "tenant": "tenant-id",
                "token_url": clouds.url,
                "endpoint": f"{address}/{_storage_account(bucket)}",
            },
            expire,
            RegistryAccess(ca_bundle=certificate.authority),
        )


def _storage_account(tenant: str) -> str:
    return tenant.replace("-", "")


def _put_blob(address: str, account: str, content: bytes, authority: Path) -> None:
    """Write a blob with a token that the test makes, in a new container."""
    token = azure_access_token(account, expires_in=60)
    headers = {
        "authorization": f"Bearer {token}",
        "x-ms-version": "2021-06-08",
        "x-ms-blob-type": "BlockBlob",
    }
    context = ssl.create_default_context(cafile=str(authority))
    with httpx.Client(base_url=f"{address}/{account}", headers=headers, verify=context) as client:
        client.put("/models", params={"restype": "container"}).raise_for_status()
        client.put(f"/models/{OBJECT}", content=content).raise_for_status()


@contextmanager
def google(clouds: Clouds, tenants: Sequence[str], folder: Path) -> Iterator[CloudStore]:
    """Run fake-gcs-server behind the stand-in, which compares the access tokens."""
    port = free_port()
    options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    with (
        Server([program("fake-gcs-server"), *options, "-public-host", "127.0.0.1"], port, folder) as server,
        httpx.Client(base_url=f"http://{server.address}") as client,
    ):
        for tenant in tenants:
            account, bucket = f"{tenant}@project.iam.gserviceaccount.com", f"bucket-{tenant}"
            clouds.trust[account] = f"{tenant}/{ACCOUNT}"
            clouds.readers[bucket] = account
            client.post("/storage/v1/b", json={"name": bucket}).raise_for_status()
            query = {"uploadType": "media", "name": OBJECT}
            upload = f"/upload/storage/v1/b/{bucket}/o"
            client.post(upload, params=query, content=content_of(tenant)).raise_for_status()
        clouds.content = lambda path: client.get(path).raise_for_status().content
        yield CloudStore(
            Cloud.GOOGLE,
            lambda bucket: f"gs://bucket-{bucket}/{OBJECT}",
            lambda tenant, _: {
                "account": f"{tenant}@project.iam.gserviceaccount.com",
                "audience": "//google",
                "token_url": f"{clouds.url}/token",
                "impersonation_url": clouds.url,
                "endpoint": clouds.url,
            },
            lambda tenant: clouds.readers.update({f"bucket-{tenant}": ""}),
        )


@contextmanager
def stand_in(issuer: Issuer) -> Iterator[Clouds]:
    """Run the stand-in of the token services, which verifies the tokens of an issuer."""

    def text(token: str) -> str:
        try:
            claims = issuer.verified_claims(token)
        except (InvalidSignature, ValueError):
            return "invalid"
        account = claims["sub"].removeprefix("system:serviceaccount:").replace(":", "/")
        return token_of(account, " ".join(claims["aud"]))

    clouds = Clouds()
    clouds.token_text = text
    try:
        yield clouds
    finally:
        clouds.stop()
