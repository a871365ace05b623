"""Check of secrets that are sent as values of HTTP headers."""

from __future__ import annotations

from modelyard.contract.errors import SourceInvalidError


def header_value(secret: str) -> str:
    """Return the secret if an HTTP header can carry it.

    Raises SourceInvalidError otherwise, because the message of an HTTP client would quote the secret.
    """
    if not (secret.isascii() and secret.isprintable()):
        raise SourceInvalidError(
            "the Secret of secretRef has a value that an HTTP header cannot carry: use printable ASCII"
        )
    return secret
