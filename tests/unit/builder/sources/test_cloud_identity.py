"""Downloads with the cloud identity of a ServiceAccount, against stand-ins of the clouds."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from tests.support.clouds import AUDIENCES, Clouds, token_of

from modelyard import task_group
from modelyard.builder.request_secrets import secrets_of
from modelyard.builder.sources import cloud_identity
from modelyard.builder.sources.cloud_identity import identity_config
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.fetch import open_stream
from modelyard.contract.build_request import AssetInput, BuildRequest, Source
from modelyard.contract.cloud_identity import Cloud, CloudIdentity, cloud_of
from modelyard.contract.errors import (
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceUnavailableError,
)
from modelyard.retry import Retry

TENANTS: Final = ("a", "b")
URLS: Final = {
    Cloud.AWS: "s3://bucket-{}/model.pkl",
    Cloud.AZURE: "abfs://bucket-{}@account.dfs.core.windows.net/model.pkl",
    Cloud.GOOGLE: "gs://bucket-{}/model.pkl",
}


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    """Clouds in which tenant a may read bucket-a and tenant b bucket-b."""
    clouds = Clouds()
    clouds.trust = {f"account-{tenant}": f"{tenant}/reader" for tenant in TENANTS}
    clouds.readers = {f"bucket-{tenant}": f"account-{tenant}" for tenant in TENANTS}
    yield clouds
    clouds.stop()


def identity(clouds: Clouds, cloud: Cloud, tenant: str, **changes: Any) -> CloudIdentity:
    """Return the identity of the ServiceAccount `reader` of a tenant."""
    endpoint = f"{clouds.url}/account" if cloud is Cloud.AZURE else clouds.url
    fields: dict[str, Any] = {
        "cloud": cloud,
        "service_account": f"{tenant}/reader",
        "token_audience": AUDIENCES[cloud],
        "token": token_of(f"{tenant}/reader", AUDIENCES[cloud]),
        "account": f"account-{tenant}",
        "tenant": "tenant-id",
        "audience": "//google",
        "token_url": {Cloud.AWS: f"{clouds.url}/sts", Cloud.AZURE: clouds.url}.get(
            cloud, f"{clouds.url}/token"
        ),
        "impersonation_url": clouds.url,
        "region": "eu-central-1",
        "endpoint": endpoint,
    }
    return CloudIdentity(**fields | changes)


def read(url: str, identity: CloudIdentity) -> bytes:
    context = FetchContext(retry=Retry(attempts=1))
    opened = open_stream(Source(url=url, identity=identity), name="m", limit_bytes=1000, context=context)
    assert opened is not None
    with opened as stream:
        return b"".join(stream.open(0))


@pytest.mark.parametrize("cloud", Cloud)
@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("bucket", TENANTS)
def test_tenant_reads_its_own_buckets_only(clouds: Clouds, cloud: Cloud, tenant: str, bucket: str) -> None:
    url, own = URLS[cloud].format(bucket), identity(clouds, cloud, tenant)
    assert cloud_of(url) is cloud
    if bucket == tenant:
        assert read(url, own) == f"content of bucket-{tenant}".encode()
        return
    with pytest.raises(SourceForbiddenError, match="serviceAccountName"):
        read(url, own)


@pytest.mark.parametrize("cloud", Cloud)
def test_account_of_another_tenant_is_refused_by_the_token_service(clouds: Clouds, cloud: Cloud) -> None:
    with pytest.raises(SourceForbiddenError, match=f"{cloud} does not accept the ServiceAccount a/reader"):
        read(URLS[cloud].format("b"), identity(clouds, cloud, "a", account="account-b"))
    assert not clouds.reads


@pytest.mark.parametrize("cloud", Cloud)
def test_token_for_another_audience_is_refused(clouds: Clouds, cloud: Cloud) -> None:
    wrong = token_of("a/reader", "https://kubernetes.default.svc")
    with pytest.raises(SourceForbiddenError):
        read(URLS[cloud].format("a"), identity(clouds, cloud, "a", token=wrong))
    assert not clouds.reads


def test_google_without_an_account_uses_the_federated_identity(clouds: Clouds) -> None:
    own = identity(clouds, Cloud.GOOGLE, "a", account="")
    clouds.readers["bucket-a"] = own.token
    assert read(URLS[Cloud.GOOGLE].format("a"), own) == b"content of bucket-a"


@pytest.mark.parametrize("cloud", Cloud)
@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ((500, b"S3CR3T"), SourceUnavailableError),
        ((429, b""), SourceUnavailableError),
        ((200, b"S3CR3T"), SourceUnavailableError),
        ((200, b"{}"), SourceUnavailableError),
        ((200, b"[]"), SourceUnavailableError),
        ((200, b"x" * 100_000), SourceUnavailableError),
        ((400, b'{"error": "S3CR3T S3CR3T"}'), SourceForbiddenError),
        ((403, b"\xff"), SourceForbiddenError),
        ((307, b""), SourceForbiddenError),
    ],
    ids=["500", "429", "no answer", "no token", "list", "endless", "long code", "binary", "redirect"],
)
def test_failure_of_a_token_service_repeats_nothing_of_its_answer(
    clouds: Clouds, cloud: Cloud, failure: tuple[int, bytes], error: type[SourceError]
) -> None:
    clouds.failure = failure
    own = identity(clouds, cloud, "a")
    with pytest.raises(error) as raised:
        identity_config(own, FetchContext())
    assert "S3CR3T" not in str(raised.value)
    assert own.token not in str(raised.value)
    assert len(clouds.requests) == 1


@pytest.mark.parametrize("cloud", Cloud)
def test_token_service_that_never_answers_is_unavailable(
    clouds: Clouds, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_identity, "_EXCHANGE_SECONDS", 0.05)
    monkeypatch.setattr(task_group, "_CANCEL_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SourceUnavailableError, match=f"service of {cloud} does not answer within 0 s"):
            identity_config(identity(clouds, cloud, "a", token_url=url), FetchContext())


def test_token_service_that_refuses_connections_is_unavailable(clouds: Clouds) -> None:
    clouds.stop()
    with pytest.raises(SourceUnavailableError, match="the token service of aws does not answer: "):
        identity_config(identity(clouds, Cloud.AWS, "a"), FetchContext())


def test_identity_without_a_token_is_invalid(clouds: Clouds) -> None:
    with pytest.raises(SourceInvalidError, match="a/reader"):
        identity_config(identity(clouds, Cloud.AWS, "a", token=""), FetchContext())


def test_token_is_a_secret_of_the_request(clouds: Clouds) -> None:
    own = identity(clouds, Cloud.AWS, "a")
    asset = AssetInput(id="d", source=Source(url="s3://b/k", identity=own))
    request = BuildRequest(repository="r", tag="t", base_image="b", driver="d", assets=(asset,))
    assert own.token in secrets_of(request)
    assert own.token not in repr(request)
