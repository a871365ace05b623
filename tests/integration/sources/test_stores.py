"""Models from object stores: over connections that close, and without credentials in messages."""

from __future__ import annotations

import hashlib
import ipaddress
import random
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import pytest
from tests.integration.sources.conftest import SECRET, WRONG, Store
from tests.support.breaking_proxy import BreakingProxy

from modelyard.backoff import Backoff
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.fetch import open_stream
from modelyard.builder.sources.file_stream import StreamedSource
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    BuildFailedError,
    DigestMismatchError,
    SourceChangedError,
    SourceDeniedError,
    SourceForbiddenError,
    SourceNotFoundError,
)
from modelyard.retry import Retry

MIB: Final = 1024 * 1024
BODY: Final = random.Random(2).randbytes(30 * MIB)
DIGEST: Final = "sha256:" + hashlib.sha256(BODY).hexdigest()


@dataclass
class Reader:
    """Opens sources. `log` has the lines for the build log."""

    log: list[str] = field(default_factory=list)
    policy: EgressPolicy = field(default_factory=EgressPolicy)

    def open(
        self, url: str, credentials: dict[str, str] | None = None, digest: str | None = None
    ) -> StreamedSource:
        source = Source(url=url, credentials=credentials or {}, digest=digest)
        retry = Retry(backoff=Backoff(0.05, 30.0))
        context = FetchContext(retry=retry, log=self.log.append, policy=self.policy)
        opened = open_stream(source, name="named", limit_bytes=2**30, context=context)
        assert opened is not None
        return opened

    def read(self, url: str, credentials: dict[str, str] | None = None, digest: str | None = None) -> bytes:
        with self.open(url, credentials, digest) as stream:
            content = b"".join(stream.open(0))
            assert (stream.name, stream.size) == ("model a.pkl", len(content))
            return content


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_object_is_read(store: Store, reader: Reader) -> None:
    store.put(BODY)
    assert reader.read(store.url, store.credentials(store.server.address), DIGEST) == BODY


def test_object_is_read_through_the_egress_proxy(store: Store, reader: Reader, proxy: BreakingProxy) -> None:
    """Signatures stay valid, and broken connections are resumed. Without denied networks no proxy runs."""
    reader.policy = EgressPolicy(denied=(ipaddress.ip_network("192.0.2.0/24"),))
    store.put(BODY)
    proxy.breaks = [5 * MIB, 2000]
    assert reader.read(store.url, store.credentials(proxy.address), DIGEST) == BODY
    assert proxy.broken == 2


def test_reading_resumes_after_each_closed_connection(
    store: Store, reader: Reader, proxy: BreakingProxy
) -> None:
    """Seven closed connections with progress exceed the attempts without progress, and are no error."""
    store.put(BODY)
    proxy.breaks = [5 * MIB, 3 * MIB, 2000, 4 * MIB, 4 * MIB, 100_000, 2 * MIB]
    assert reader.read(store.url, store.credentials(proxy.address), DIGEST) == BODY
    assert proxy.broken == 7
    _assert_no_secret(reader, store)


def test_reading_of_a_signed_url_resumes_after_each_closed_connection(
    store: Store, reader: Reader, proxy: BreakingProxy
) -> None:
    if store.signed_url is None:
        pytest.skip("this server does not sign URLs")
    store.put(BODY)
    url = store.signed_url(proxy.address)
    proxy.breaks = [5 * MIB, 3 * MIB, 2000, 4 * MIB, 4 * MIB, 100_000, 2 * MIB]
    assert reader.read(url, digest=DIGEST) == BODY
    assert proxy.broken == 7
    _assert_no_secret(reader, store, urlsplit(url).query)


def test_object_that_is_replaced_during_the_download_is_an_error(
    store: Store, reader: Reader, proxy: BreakingProxy
) -> None:
    store.put(BODY)
    proxy.breaks = [5 * MIB]
    with reader.open(store.url, store.credentials(proxy.address)) as stream:
        chunks = stream.open(0)
        next(chunks)
        store.put(BODY[::-1])
        with pytest.raises(SourceChangedError, match=r"model a\.pkl changed"):
            list(chunks)


def test_other_digest_is_an_error(store: Store, reader: Reader) -> None:
    store.put(BODY)
    with pytest.raises(DigestMismatchError, match=DIGEST):
        reader.read(store.url, store.credentials(store.server.address), "sha256:" + "0" * 64)


def test_missing_object_is_an_error(store: Store, reader: Reader) -> None:
    store.put(BODY)
    with pytest.raises(SourceNotFoundError) as failure:
        reader.read(f"{store.url}x", store.credentials(store.server.address))
    _assert_no_secret(reader, store, error=failure.value)


def test_wrong_credentials_are_forbidden(store: Store, reader: Reader) -> None:
    if store.wrong is None:
        pytest.skip("this server accepts all credentials")
    store.put(BODY)
    with pytest.raises(SourceForbiddenError, match="secretRef") as failure:
        reader.read(store.url, store.credentials(store.server.address) | store.wrong)
    _assert_no_secret(reader, store, error=failure.value)


def test_policy_denies_the_address_of_a_store(store: Store) -> None:
    reader = Reader(
        policy=EgressPolicy.from_environment({BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.0/8"})
    )
    with pytest.raises(SourceDeniedError):
        reader.read(store.url, store.credentials(store.server.address))


def _assert_no_secret(
    reader: Reader, store: Store, *secrets: str, error: BuildFailedError | None = None
) -> None:
    messages = "\n".join((*reader.log, str(error), repr(error)))
    hidden = {SECRET, WRONG, *secrets, *store.credentials("nowhere").values()} - {"me", "us-east-1"}
    hidden = {text for text in hidden if "nowhere" not in text}
    assert not [text for text in hidden if text in messages]
