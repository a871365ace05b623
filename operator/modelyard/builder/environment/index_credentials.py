"""The credentials of package indexes, separated from the settings that a process with users' packages gets.

A credential applies below the path of its index. Users may name other URLs of the same host.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from modelyard.builder.sources.platform_proxy import HostPort, host_port_of
from modelyard.contract.errors import CondaFailedError
from modelyard.oci.registry_config import Credential

_SIMPLE: Final = "simple"
"""Last folder of most indexes. The files of packages are often beside it, so it is not part of the prefix."""
_LOGIN: Final = re.compile(r"(https?://)[^/\s]*@", re.IGNORECASE)
_CREDENTIALS_INVALID: Final = (
    "the conda credentials of builds cannot be read: correct the Secret build.conda.secretName"
)


class Origin(NamedTuple):
    """The scheme and the address of a server."""

    scheme: str
    address: HostPort


@dataclass(frozen=True)
class IndexCredential:
    """A credential for the URLs of one server below a path."""

    origin: Origin
    prefix: str
    """Path that ends in a slash."""
    authorization: str | None = None
    """Value of the header Authorization."""
    token: str | None = None
    """Token that conda puts into the path: /t/<token>/<channel>."""

    def path(self, path: str) -> str:
        """Return the path with the token, if the credential has one."""
        return f"/t/{self.token}{path}" if self.token else path


def credential_for(
    credentials: Iterable[IndexCredential], origin: Origin, target: str
) -> IndexCredential | None:
    """Return the credential with the longest prefix for a path with a query, None without any.

    A path with segments such as `..`, in any encoding, has none: the server would resolve it to another path.
    """
    path = unquote(target.partition("?")[0])
    if any(segment in {".", ".."} for segment in path.replace("\\", "/").split("/")) or "%" in path:
        return None
    found = [item for item in credentials if item.origin == origin and f"{path}/".startswith(item.prefix)]
    return max(found, key=lambda item: len(item.prefix), default=None)


def without_login(url: str) -> str:
    """Return a URL without user name and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def without_logins(text: str) -> str:
    """Return a text, such as a pip.conf, without user names and passwords in its http(s) URLs."""
    return _LOGIN.sub(r"\1", text)


def login_of(url: str) -> IndexCredential | None:
    """Return the credential in the URL of an index, None if it has none."""
    parts = urlsplit(url)
    origin = origin_of(url)
    if origin is None or not parts.username:
        return None
    login = Credential(unquote(parts.username), unquote(parts.password or ""))
    return IndexCredential(origin, index_prefix(url), login.header)


def index_prefix(url: str) -> str:
    """Return the path of an index with a slash at the end, without a last folder `simple`."""
    path = unquote(urlsplit(url).path).rstrip("/")
    folder, _, name = path.rpartition("/")
    return f"{folder if name == _SIMPLE else path}/"


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http(s) URL, None for another URL."""
    address = host_port_of(url)
    return Origin(urlsplit(url).scheme, address) if address else None


def conda_credentials(file: Path, channels: Iterable[str]) -> list[IndexCredential]:
    """Return the credentials of a file for the platform's channels and mirrors.

    The file has the format of rattler and pixi, host → credential: https://pixi.sh/latest/deployment/authentication/.
    Raises CondaFailedError.
    """
    try:
        entries = json.loads(file.read_bytes())
        found = {str(host): _conda_credential(entry) for host, entry in entries.items()}
    except (ValueError, AttributeError, KeyError, TypeError):
        raise CondaFailedError(_CREDENTIALS_INVALID) from None
    credentials = []
    for url in channels:
        origin = origin_of(url)
        entry = _entry_of(found, origin.address.host) if origin else None
        if origin and entry:
            path = unquote(urlsplit(url).path).rstrip("/")
            credentials.append(IndexCredential(origin, f"{path}/", *entry))
    return credentials


def _entry_of(
    entries: Mapping[str, tuple[str | None, str | None]], host: str
) -> tuple[str | None, str | None] | None:
    """Return the entry of a host, or of the longest wildcard, such as `*.example.com`, that matches it."""
    labels = host.split(".")
    names = [host, *(f"*.{'.'.join(labels[start:])}" for start in range(1, len(labels)))]
    return next((entries[name] for name in names if name in entries), None)


def _conda_credential(entry: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return authorization and token of an entry."""
    if "BasicHTTP" in entry:
        login = entry["BasicHTTP"]
        return Credential(login["username"], login["password"]).header, None
    if "BearerToken" in entry:
        return f"Bearer {entry['BearerToken']}", None
    return None, quote(str(entry["CondaToken"]), safe="")
