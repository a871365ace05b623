"""JSON as the API server itself writes it.

The API server stores the `data` of a ControllerRevision as raw bytes, and compares bytes when it validates
that the field is immutable. A merge patch re-encodes the object with Go's encoder. A strategic merge patch
(garbage collector) or a server-side apply also sorts the keys. Only `data` in this form survives all of them.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

# https://pkg.go.dev/encoding/json#Marshal; these bytes occur in no other place than inside of strings.
_ESCAPES: Final = (
    (b"<", rb"\u003c"),
    (b">", rb"\u003e"),
    (b"&", rb"\u0026"),
    ("\u2028".encode(), rb"\u2028"),
    ("\u2029".encode(), rb"\u2029"),
)


def canonical_json(value: Any) -> bytes:
    """Return a JSON value as Go's encoder writes it: sorted keys, no blanks, HTML characters escaped.

    Go and orjson write fractions in different forms. No field of this API has the type `number`.
    """
    encoded = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    for character, escape in _ESCAPES:
        encoded = encoded.replace(character, escape)
    return encoded
