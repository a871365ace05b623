"""The settings of package indexes in two parts: for the guard, and for the process with users' packages."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.index_credentials import (
    IndexCredential,
    conda_credentials,
    login_of,
    without_login,
)
from modelyard.builder.environment.index_settings import PublicIndexSettings
from modelyard.builder.environment.pip_settings import (
    CA_FILE_VARIABLE,
    CLIENT_CERTIFICATE,
    CONSTRAINTS,
    EXTRA_INDEXES,
    FIND_LINKS,
    INDEX,
    INSECURE_HOSTS,
    PROXIES,
    PipSettings,
)

_NO_PROXIES: Final = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True)
class IndexAccess:
    """The settings of the indexes in two parts: for the guard, and for the process with users' packages."""

    public: PublicIndexSettings
    trusted: tuple[str, ...] = ()
    """URLs of the platform's own indexes, channels and mirrors."""
    credentials: tuple[IndexCredential, ...] = ()
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables HTTP_PROXY, HTTPS_PROXY, NO_PROXY and so on of the platform's own proxy."""
    ca_file: Path | None = None
    """CA certificates that the guard trusts."""
    client_certificate: Path | None = field(default=None, repr=False)
    insecure_hosts: frozenset[str] = frozenset()
    """host or host:port of indexes whose certificate is not verified: trusted-host of the pip.conf."""


def read_index_access(
    pip: PipSettings, conda: CondaSettings, inherited: Mapping[str, str] = os.environ
) -> IndexAccess:
    """Separate the settings of the indexes. Raises PipFailedError and CondaFailedError for invalid files."""
    variables = pip.variables(inherited)
    credentials: list[IndexCredential] = []
    trusted: list[str] = []
    for name in (INDEX, EXTRA_INDEXES, FIND_LINKS):
        separator = "," if name == FIND_LINKS else " "
        urls = [url for url in variables.get(name, "").split(separator) if url]
        credentials += filter(None, map(login_of, urls))
        trusted += map(without_login, urls)
        if urls:
            variables[name] = separator.join(map(without_login, urls))
    mirrors = {name: without_login(url) for name, url in conda.mirrors.items()}
    channels = tuple(map(without_login, conda.trusted))
    credentials += filter(None, map(login_of, conda.trusted))
    if conda.credentials:
        credentials += conda_credentials(conda.credentials, channels)
    proxies: dict[str, str] = {
        name: variables.pop(name) for name in (*PROXIES, *_NO_PROXIES) if name in variables
    }
    ca_file = variables.pop(CA_FILE_VARIABLE, None)
    constraints = variables.pop(CONSTRAINTS, None)
    client_certificate = variables.pop(CLIENT_CERTIFICATE, None)
    return IndexAccess(
        public=PublicIndexSettings(
            variables=variables,
            constraints=Path(constraints).read_text() if constraints else None,
            ca_certificates=Path(ca_file).read_text() if ca_file else None,
            conda_channels=tuple(
                without_login(channel) if "://" in channel else channel for channel in conda.channels
            ),
            conda_mirrors=mirrors,
            conda_virtual_packages=dict(conda.virtual_packages),
            conda_retries=conda.retries,
        ),
        trusted=(*trusted, *channels),
        credentials=tuple(credentials),
        proxies=proxies,
        ca_file=Path(ca_file) if ca_file else None,
        client_certificate=Path(client_certificate) if client_certificate else None,
        insecure_hosts=frozenset(variables.get(INSECURE_HOSTS, "").split()),
    )


def default_ca_certificates() -> str:
    """Return the CA certificates of the system in PEM, an empty text if the system has none."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_text() if file else ""
