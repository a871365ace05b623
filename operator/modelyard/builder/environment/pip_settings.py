"""The package indexes and CA certificates for uv, from the pip.conf that the Docker builder gives to pip."""

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
EXTRA_INDEXES: Final = "UV_INDEX"
FIND_LINKS: Final = "UV_FIND_LINKS"
CONSTRAINTS: Final = "UV_CONSTRAINT"
INSECURE_HOSTS: Final = "UV_INSECURE_HOST"
CA_FILE_VARIABLE: Final = "SSL_CERT_FILE"
CLIENT_CERTIFICATE: Final = "SSL_CLIENT_CERT"
PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
"""Environment variables that name a proxy."""

_SECTIONS: Final = ("global", "install")
"""Sections of a pip.conf that pip install reads; the later one has precedence:
https://pip.pypa.io/en/stable/topics/configuration/."""
_VARIABLES: Final = {
    "index-url": INDEX,
    "extra-index-url": EXTRA_INDEXES,
    "find-links": FIND_LINKS,
    "no-index": "UV_NO_INDEX",
    "trusted-host": INSECURE_HOSTS,
    "constraint": CONSTRAINTS,
    "require-hashes": "UV_REQUIRE_HASHES",
    "cert": CA_FILE_VARIABLE,
    "client-cert": CLIENT_CERTIFICATE,
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""Setting of pip → uv's variable of the same meaning: https://docs.astral.sh/uv/reference/environment/."""
_COMMA_SEPARATED: Final = frozenset({"find-links"})
_INHERITED: Final = (*PROXIES, "NO_PROXY", "no_proxy", CA_FILE_VARIABLE, "SSL_CERT_DIR")


@dataclass(frozen=True)
class PipSettings:
    """The package indexes of the platform, and how builds may reach them."""

    ca_bundle: Path | None = None
    """PEM file of the CA certificates to trust; None for those of uv."""
    pip_conf: Path | None = None
    """The platform's pip.conf."""
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    """Limits the URLs in requirements. The URLs of the pip.conf are the platform's own, and not limited."""
    prepared: Mapping[str, str] | None = None
    """Variables of uv that take the place of a pip.conf and of inherited variables."""

    def variables(self, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return uv's environment: the settings of the pip.conf, and inherited proxies and CA files.

        Raises PipFailedError if the pip.conf cannot be parsed.
        """
        if self.prepared is not None:
            return dict(self.prepared)
        variables = {name: inherited[name] for name in _INHERITED if name in inherited}
        if self.pip_conf:
            variables |= uv_variables(self.pip_conf.read_text())
        if self.ca_bundle:
            variables[CA_FILE_VARIABLE] = str(self.ca_bundle)
        return variables


def uv_variables(pip_conf: str) -> dict[str, str]:
    """Return the settings of a pip.conf as uv's variables, without settings that have no variable.

    Raises PipFailedError if the text cannot be parsed. The message contains nothing of the text, which may
    hold passwords.
    """
    parser = RawConfigParser()
    try:
        parser.read_string(pip_conf)
    except ParserError as error:
        raise PipFailedError(
            f"the pip.conf of builds cannot be parsed ({type(error).__name__}): correct the Secret"
            " build.pip.secretName"
        ) from None
    settings: dict[str, str] = {}
    for section in _SECTIONS:
        if parser.has_section(section):
            settings |= {name.replace("_", "-"): value for name, value in parser.items(section)}
    variables: dict[str, str] = {}
    for name, value in settings.items():
        words = value.split()
        if name in _VARIABLES and words:
            variables[_VARIABLES[name]] = ("," if name in _COMMA_SEPARATED else " ").join(words)
    if proxy := settings.get("proxy"):
        variables |= dict.fromkeys(PROXIES, proxy)
    if settings.get("pre", "").lower() in {"1", "true", "yes", "on"}:
        variables["UV_PRERELEASE"] = "allow"
    return variables
