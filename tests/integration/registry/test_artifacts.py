"""Models as OCI artifacts in real registries."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Final

import pytest
from tests.integration.registry.conftest import RunningRegistry
from tests.support.breaking_proxy import BreakingProxy

from modelyard.backoff import Backoff
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.fetch import fetch, open_stream
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceForbiddenError
from modelyard.oci.media_types import OCI_MANIFEST
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

MIB: Final = 1024 * 1024
FILES: Final = {"MLmodel": b"flavors: {}", "data/model.pkl": random.Random(3).randbytes(20 * MIB)}
EMPTY: Final = "application/vnd.oci.empty.v1+json"


def _push(running: RunningRegistry, *names: str) -> None:
    """Push files like oras does."""
    repository = running.repository("models/artifact")
    with running.client() as registry:
        config = registry.upload_bytes(repository, b"{}")
        layers = [
            {
                "mediaType": "application/octet-stream",
                **vars(registry.upload_bytes(repository, FILES[name])),
                "annotations": {"org.opencontainers.image.title": name},
            }
            for name in names
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": "application/vnd.test.model",
            "config": {"mediaType": EMPTY, **vars(config)},
            "layers": layers,
        }
        registry.put_manifest(repository, json.dumps(manifest).encode(), OCI_MANIFEST, tag="1")


def _context(running: RunningRegistry) -> FetchContext:
    """Return the context of a build without credentials for the registry."""
    access = RegistryAccess(ca_bundle=running.authority)
    return FetchContext(access=access, retry=Retry(backoff=Backoff(0.05, 30.0)), log=running.log.append)


def _source(running: RunningRegistry, **more: object) -> Source:
    credentials = {".dockerconfigjson": running.config.read_text()}
    url = f"oci://{running.repository('models/artifact')}:1"
    return Source.model_validate({"url": url, "credentials": credentials} | more)


def test_download_is_resumed_after_each_break(
    proxied: tuple[RunningRegistry, BreakingProxy],
) -> None:
    running, proxy = proxied
    _push(running, "data/model.pkl")
    proxy.breaks = [5 * MIB, 6 * MIB, 4000, 2 * MIB]
    context = _context(running)
    with open_stream(_source(running), name="named", limit_bytes=2**30, context=context) as stream:
        assert (stream.name, stream.size) == ("model.pkl", 20 * MIB)
        assert b"".join(stream.open(0)) == FILES["data/model.pkl"]
    assert proxy.broken == 4
    assert "s3cret" not in "".join(running.log)


def test_artifact_with_several_files_is_fetched_as_a_folder(running: RunningRegistry, tmp_path: Path) -> None:
    _push(running, *FILES)
    source, folder = _source(running, unpack=True), tmp_path / "fetched"
    folder.mkdir()
    assert open_stream(source, name="named", limit_bytes=2**30, context=_context(running)) is None
    fetched = fetch(source, folder, name="named", limit_bytes=2**30, context=_context(running))
    assert {name: (fetched.path / name).read_bytes() for name in FILES} == FILES


def test_missing_credentials_of_a_source_are_forbidden(running: RunningRegistry) -> None:
    if running.users is None and running.tokens is None:
        pytest.skip("the registry requires no credentials")
    _push(running, "MLmodel")
    with pytest.raises(SourceForbiddenError, match="there are no credentials"):
        open_stream(
            _source(running, credentials={}), name="named", limit_bytes=2**30, context=_context(running)
        )
