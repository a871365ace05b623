"""Downloads with real tokens of ServiceAccounts: tenants by buckets at the stores of three clouds.

The API server of the cluster issues the tokens. cloud_stores.py describes the servers and their checks.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import httpx
import pytest
from tests.integration.sources.cloud_stores import (
    ACCOUNT,
    CloudStore,
    aws,
    azure,
    content_of,
    google,
    stand_in,
    subject_of,
)
from tests.support.clouds import Clouds
from tests.support.openid_issuer import Issuer

from modelyard.builder.sources import object_store
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.fetch import open_stream
from modelyard.contract.build_request import Source
from modelyard.contract.cloud_identity import Cloud, CloudIdentity
from modelyard.contract.errors import SourceForbiddenError
from modelyard.retry import Retry

TOKEN_SECONDS: Final = 600
Tokens = Callable[[str, str], str]


@pytest.fixture(scope="module")
def tenants(api: httpx.Client) -> Iterator[list[str]]:
    """Three namespaces with a ServiceAccount each."""
    names = [f"identity-{uuid.uuid4().hex[:6]}-{letter}" for letter in "abc"]
    for name in names:
        api.post("/api/v1/namespaces", json={"metadata": {"name": name}}).raise_for_status()
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        api.post(accounts, json={"metadata": {"name": ACCOUNT}}).raise_for_status()
    yield names
    for name in names:
        api.delete(f"/api/v1/namespaces/{name}").raise_for_status()


@pytest.fixture(scope="module")
def token(api: httpx.Client) -> Tokens:
    """Return a function that requests a token of a tenant's ServiceAccount for an audience."""

    def request(tenant: str, audience: str) -> str:
        path = f"/api/v1/namespaces/{tenant}/serviceaccounts/{ACCOUNT}/token"
        spec = {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS}
        created = api.post(path, json={"spec": spec}).raise_for_status().json()
        return str(created["status"]["token"])

    return request


@pytest.fixture(scope="module")
def issuer(api: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """The issuer of the cluster, with one key more."""
    url = api.get("/.well-known/openid-configuration").raise_for_status().json()["issuer"]
    keys = api.get("/openid/v1/jwks").raise_for_status().json()["keys"]
    return Issuer(url, keys, tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module", params=Cloud)
def store(
    request: pytest.FixtureRequest,
    tenants: list[str],
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[CloudStore]:
    """The store of each cloud, with a bucket of each tenant."""
    folder = tmp_path_factory.mktemp(request.param)
    with stand_in(issuer) as clouds, _store(request.param, clouds, tenants, issuer, folder) as store:
        yield store


def _store(
    cloud: Cloud, clouds: Clouds, tenants: list[str], issuer: Issuer, folder: Path
) -> AbstractContextManager[CloudStore]:
    if cloud is Cloud.AWS:
        return aws(issuer, tenants, folder)
    return (azure if cloud is Cloud.AZURE else google)(clouds, tenants, folder)


def read(store: CloudStore, bucket: str, identity: CloudIdentity) -> bytes:
    context = FetchContext(access=store.access, retry=Retry(attempts=1))
    source = Source(url=store.url(bucket), identity=identity)
    stream = open_stream(source, name="m", limit_bytes=1000, context=context)
    assert stream is not None
    with stream:
        return b"".join(stream.open(0))


@pytest.mark.parametrize("bucket", [0, 1])
@pytest.mark.parametrize("tenant", [0, 1])
def test_tenant_reads_its_own_bucket_only(
    store: CloudStore, tenants: list[str], token: Tokens, tenant: int, bucket: int
) -> None:
    own, asked = tenants[tenant], tenants[bucket]
    identity = store.identity(own, asked, token(own, store.audience))
    if own == asked:
        assert read(store, asked, identity) == content_of(own)
        return
    with pytest.raises(SourceForbiddenError, match="must not be read") as refused:
        read(store, asked, identity)
    assert identity.token not in str(refused.value)


def other_account(own: str, other: str, store: CloudStore, issuer: Issuer, token: Tokens) -> CloudIdentity:
    return store.identity(other, other, token(own, store.audience))


def other_audience(own: str, other: str, store: CloudStore, issuer: Issuer, token: Tokens) -> CloudIdentity:
    return store.identity(own, own, token(own, "https://kubernetes.default.svc"))


def expired(own: str, other: str, store: CloudStore, issuer: Issuer, token: Tokens) -> CloudIdentity:
    return store.identity(own, own, issuer.token(subject_of(own), store.audience, expires_in=-600))


def forged(own: str, other: str, store: CloudStore, issuer: Issuer, token: Tokens) -> CloudIdentity:
    """Claims of another tenant with the signature of the own token."""
    head, claims, signature = token(own, store.audience).split(".")
    decoded = base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))
    changed = base64.urlsafe_b64encode(decoded.replace(own.encode(), other.encode())).rstrip(b"=").decode()
    return store.identity(other, other, f"{head}.{changed}.{signature}")


@pytest.mark.parametrize("refused", [other_account, other_audience, expired, forged])
def test_token_service_refuses(
    store: CloudStore,
    tenants: list[str],
    issuer: Issuer,
    token: Tokens,
    refused: Callable[..., CloudIdentity],
) -> None:
    own, other, _ = tenants
    identity = refused(own, other, store, issuer, token)
    with pytest.raises(SourceForbiddenError) as error:
        read(store, other if refused in (other_account, forged) else own, identity)
    assert str(error.value).startswith(
        f"the token service of {store.cloud} does not accept the ServiceAccount"
    )
    assert identity.token not in str(error.value)


def test_token_with_a_valid_signature_is_accepted(
    store: CloudStore, tenants: list[str], issuer: Issuer
) -> None:
    """The key of the test signs the expired token: here it signs a valid one."""
    own, _, _ = tenants
    token = issuer.token(subject_of(own), store.audience, expires_in=600)
    assert read(store, own, store.identity(own, own, token)) == content_of(own)


@pytest.mark.parametrize("store", [Cloud.AWS, Cloud.GOOGLE], indirect=True)
def test_store_refuses_credentials_whose_rights_have_ended(
    store: CloudStore, tenants: list[str], token: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rights end between the exchange of the token and the download."""
    leaving = tenants[2]
    exchange = object_store.identity_config

    def exchange_then_revoke(identity: CloudIdentity, context: FetchContext) -> dict[str, str]:
        config = exchange(identity, context)
        store.revoke(leaving)
        return config

    monkeypatch.setattr(object_store, "identity_config", exchange_then_revoke)
    with pytest.raises(SourceForbiddenError, match="must not be read"):
        read(store, leaving, store.identity(leaving, leaving, token(leaving, store.audience)))


@pytest.mark.parametrize("store", [Cloud.AZURE], indirect=True)
def test_store_refuses_an_access_token_that_has_expired(
    store: CloudStore, tenants: list[str], token: Tokens
) -> None:
    leaving = tenants[2]
    store.revoke(leaving)
    identity = store.identity(leaving, leaving, token(leaving, store.audience))
    with pytest.raises(SourceForbiddenError, match="must not be read"):
        read(store, leaving, identity)
