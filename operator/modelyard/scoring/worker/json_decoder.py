"""JSON of requests: the values and errors of the standard library, in a tenth of its time.

msgspec decodes. A document that msgspec refuses goes to the standard library, which words the errors. The
standard library accepts more: NaN, half of a surrogate pair, 1e400, UTF-16, a byte order mark. Unlike orjson,
msgspec keeps all digits of large integers.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, Final

from modelyard.scoring.worker import msgspec_core

_WRAPPERS: Final = 3 if sys.version_info < (3, 12) else 1
"""Arrays around each document, so that the deepest one that msgspec takes is that of the standard library.

msgspec takes one level more. Up to Python 3.11 each function call is a level, too: json.loads() has two more
than the function here.
"""
_BEFORE: Final = b"[" * _WRAPPERS
_AFTER: Final = b"]" * _WRAPPERS


def json_decoder() -> Callable[[bytes | memoryview], Any]:
    """Return a function that decodes JSON as json.loads() does; json.loads() if msgspec is not installed.

    The function raises ValueError or RecursionError. It may be called by several threads at once.
    """
    core = msgspec_core.load()
    if core is None:
        return decoded_by_standard_library
    decode = core.JSONDecoder().decode

    def decoded(document: bytes | memoryview) -> Any:
        try:
            value = decode(b"".join((_BEFORE, document, _AFTER)))
            for _ in range(_WRAPPERS):
                (value,) = value  # fails for `1,2`, and for `1],[2`
        except Exception:
            return decoded_by_standard_library(document)
        return value

    return decoded


def decoded_by_standard_library(document: bytes | memoryview) -> Any:
    """Return the value of a document. Raises ValueError or RecursionError."""
    return json.loads(bytes(document))
