"""The packages of one conda environment: downloaded, extracted and checked before rattler links them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rattler import PackageCache, RepoDataRecord
from rattler.config import Config
from rattler.exceptions import ExtractError
from rattler.networking import Client
from rattler.package_streaming import download_and_extract

from modelyard.backoff import Backoff
from modelyard.builder.environment.conda_errors import download_error
from modelyard.builder.environment.conda_package import check_package, check_relative, check_together
from modelyard.contract.errors import BuildFailedError, CondaFailedError, CondaPackageUnsafeError
from modelyard.redaction import redact

_DOWNLOADS: Final = 16
"""Packages that are downloaded and extracted at once."""
_BACKOFF: Final = Backoff(first_seconds=0.5, most_seconds=10.0)
_NOWHERE: Final = "http://127.0.0.1:1"
"""Proxy that no request passes: a package that is not in the cache would be linked without a check."""


async def fetch_packages(
    records: Sequence[RepoDataRecord], python: str, folder: Path, client: Client, retries: int
) -> PackageCache:
    """Download, extract and check all packages, and return the cache from which rattler links them.

    `folder` is an empty folder for the cache. `python` is the version of the environment's Python. `retries`
    bounds the retries of a download that broke off.

    Raises CondaPackageUnsafeError, CondaFailedError, PackageIndexUnavailableError, PackageIndexUntrustedError
    and DiskFullError.
    """
    site_packages = f"lib/python{'.'.join(python.split('.')[:2])}/site-packages"
    for record in records:
        check_relative(record.name.normalized, record.python_site_packages_path)
        if record.name.normalized == "python":
            site_packages = record.python_site_packages_path or site_packages
    slots = asyncio.Semaphore(_DOWNLOADS)
    extracted = await asyncio.gather(*(_fetch(record, folder, client, retries, slots) for record in records))
    check_together(
        [
            check_package(record.file_name, package, site_packages)
            for record, package in zip(records, extracted, strict=True)
        ]
    )
    return PackageCache(folder)


def offline_client() -> Client:
    """Return a client for the step of linking, which must not download."""
    config = f'tls-root-certs = "webpki"\nproxy-config = {{http = "{_NOWHERE}", https = "{_NOWHERE}"}}'
    return Client.from_config(Config.from_toml(config), max_retries=0, timeout=1)


async def _fetch(
    record: RepoDataRecord, folder: Path, client: Client, retries: int, slots: asyncio.Semaphore
) -> Path:
    """Download and extract a package, and return its folder, whose name is the key of rattler's cache."""
    key = f"{record.name.normalized}-{record.version}-{record.build}"
    if "/" in key or key.startswith("."):
        raise CondaPackageUnsafeError(f"the conda package {key!r} has a name that is no name of a folder")
    url = str(record.url)
    async with slots:
        failures = 0
        while True:
            extracted = folder / f".{key}-{failures}"
            try:
                hashes = await download_and_extract(client, url, extracted)
                break
            except (OSError, ExtractError) as error:
                failure = _error(url, error)
                failures += 1
                if not failure.transient or failures > retries:
                    raise failure from None
            await asyncio.sleep(_BACKOFF.seconds(failures))
    # As conda: a channel may declare a wrong MD5 beside the right SHA-256.
    expected, found = (record.sha256, hashes[0]) if record.sha256 else (record.md5, hashes[1])
    if expected and bytes(expected) != bytes(found):
        raise CondaFailedError(
            f"a package is damaged: {redact(url)} has the hash {bytes(found).hex()}, and its channel declares"
            f" {bytes(expected).hex()}"
        )
    return extracted.rename(folder / key)


def _error(url: str, error: Exception) -> BuildFailedError:
    return download_error(f"{redact(url)}: {error}")
