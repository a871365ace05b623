"""What uv is told of indexes and trust, from the pip.conf that the Docker builder gives to pip."""

from __future__ import annotations

import os
from collections.abc import Mapping
from configparser import Error as ParserError
from configparser import RawConfigParser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import PipFailedError

INDEX: Final = "UV_DEFAULT_INDEX"
MORE_INDEXES: Final = "UV_INDEX"
LINKS: Final = "UV_FIND_LINKS"

# The later one wins: https://pip.pypa.io/en/stable/topics/configuration/.
_SECTIONS: Final = ("global", "install")
_VARIABLES: Final = {
    "index-url": INDEX,
    "extra-index-url": MORE_INDEXES,
    "find-links": LINKS,
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "constraint": "UV_CONSTRAINT",
    "require-hashes": "UV_REQUIRE_HASHES",
    "cert": "SSL_CERT_FILE",
    "client-cert": "SSL_CLIENT_CERT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""Settings of pip, and the variables that mean the same to uv: https://docs.astral.sh/uv/reference/environment/."""

_COMMA_SEPARATED: Final = frozenset({"find-links"})
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_INHERITED: Final = (*PROXIES, "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True)
class PipSettings:
    """Where packages come from."""

    ca_bundle: Path | None = None
    """PEM file of the authorities to trust, in place of the usual ones."""
    pip_conf: Path | None = None
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    """For the addresses that requirements name; those of the pip.conf are the platform's own."""

    def variables(self, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Uv's environment: the pip.conf's settings, and of the inherited one only proxies and trust.

        Raises PipFailedError when the pip.conf cannot be read.
        """
        found = {name: inherited[name] for name in _INHERITED if name in inherited}
        if self.pip_conf:
            found |= translated(self.pip_conf.read_text())
        if self.ca_bundle:
            found["SSL_CERT_FILE"] = str(self.ca_bundle)
        return found


def translated(pip_conf: str) -> dict[str, str]:
    """The settings of a pip.conf as uv's variables; what says nothing about indexes has none.

    Raises PipFailedError for what is no pip.conf; its content, which may be a password, is never part of it.
    """
    parser = RawConfigParser()
    try:
        parser.read_string(pip_conf)
    except ParserError as error:
        raise PipFailedError(f"the pip.conf of builds cannot be read: {type(error).__name__}") from None
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            settings |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    variables = {
        _VARIABLES[name]: ("," if name in _COMMA_SEPARATED else " ").join(value.split())
        for name, value in settings.items()
        if name in _VARIABLES and value.split()
    }
    if proxy := settings.get("proxy"):
        variables |= dict.fromkeys(PROXIES, proxy)
    if settings.get("pre", "").lower() in {"1", "true", "yes", "on"}:
        variables["UV_PRERELEASE"] = "allow"
    return variables
