"""The identity of a caller, which the API server proves by its client certificate and names in headers.

The API server forwards requests to an aggregated API with the names of the user in headers. Its certificate,
and the names of the headers, are in a ConfigMap that each cluster has:
https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/#authentication-flow
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from modelyard.kube.interface import KubeClient
from modelyard.kube.types import CONFIG_MAPS, Json

NAMESPACE: Final = "kube-system"
CONFIG_MAP: Final = "extension-apiserver-authentication"
_AUTHENTICATED: Final = "system:authenticated"

VALUE_SEPARATOR: Final = b"\0"
"""Between the values of a repeated header. No value can contain it, but a group may have a comma."""


class User(NamedTuple):
    """A caller, as a SubjectAccessReview names it."""

    name: str
    groups: tuple[str, ...]
    uid: str
    extra: tuple[tuple[str, tuple[str, ...]], ...]

    def to_json(self) -> Json:
        """Return the fields of the spec of a SubjectAccessReview."""
        extra = {key: list(values) for key, values in self.extra}
        body: Json = {"user": self.name, "groups": list(self.groups), "uid": self.uid, "extra": extra}
        return {key: value for key, value in body.items() if value}


class RequestHeaders(NamedTuple):
    """The certificate authority of the API server as a client, and the headers with the user."""

    authority: str
    """Certificates in PEM, empty if the cluster has no aggregation."""
    allowed_names: frozenset[str]
    """Common names of the certificate; if empty, each name of the authority."""
    user_headers: tuple[bytes, ...]
    uid_headers: tuple[bytes, ...]
    group_headers: tuple[bytes, ...]
    extra_prefixes: tuple[bytes, ...]

    def user(self, common_name: str | None, headers: Mapping[bytes, bytes]) -> User | None:
        """Return the caller, None if the connection has no certificate of the API server, or no user.

        `common_name` is that of a certificate that the authority has signed. Names of headers are in lower
        case.
        """
        if common_name is None or (self.allowed_names and common_name not in self.allowed_names):
            return None
        name = _first(headers, self.user_headers)
        if not name:
            return None
        groups = tuple(_values(headers, self.group_headers))
        groups = groups if _AUTHENTICATED in groups else (*groups, _AUTHENTICATED)
        return User(name, groups, _first(headers, self.uid_headers), self._extra(headers))

    def _extra(self, headers: Mapping[bytes, bytes]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        found = {}
        for prefix in self.extra_prefixes:
            for header, value in headers.items():
                if header.startswith(prefix):
                    key = unquote(header[len(prefix) :].decode("latin-1")).lower()
                    found[key] = tuple(_split(value))
        return tuple(sorted(found.items()))


async def read_request_headers(client: KubeClient) -> RequestHeaders:
    """Return the settings of the cluster. Raises KubeError, and ValueError if they are not valid."""
    config_map = await client.get(CONFIG_MAPS, NAMESPACE, CONFIG_MAP)
    return parse_request_headers(config_map.get("data") or {})


def parse_request_headers(data: Mapping[str, str]) -> RequestHeaders:
    """Parse the data of the ConfigMap. Raises ValueError, which names the key."""
    return RequestHeaders(
        authority=data.get("requestheader-client-ca-file", ""),
        allowed_names=frozenset(_list(data, "requestheader-allowed-names")),
        user_headers=_headers(data, "requestheader-username-headers"),
        uid_headers=_headers(data, "requestheader-uid-headers"),
        group_headers=_headers(data, "requestheader-group-headers"),
        extra_prefixes=_headers(data, "requestheader-extra-headers-prefix"),
    )


def _headers(data: Mapping[str, str], key: str) -> tuple[bytes, ...]:
    return tuple(name.lower().encode() for name in _list(data, key))


def _list(data: Mapping[str, str], key: str) -> list[str]:
    try:
        value: Any = orjson.loads(data.get(key) or "[]")
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{CONFIG_MAP}: {key}: {error}") from error
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{CONFIG_MAP}: {key} is not a list of texts"
        raise ValueError(message)
    return value


def _first(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> str:
    return next((headers[name].decode(errors="replace") for name in names if headers.get(name)), "")


def _values(headers: Mapping[bytes, bytes], names: tuple[bytes, ...]) -> list[str]:
    return [value for name in names if name in headers for value in _split(headers[name])]


def _split(value: bytes) -> list[str]:
    """Return the values of a header that came several times."""
    return [part.decode(errors="replace") for part in value.split(VALUE_SEPARATOR) if part]
