"""The table of URL schemes."""

from __future__ import annotations

import pytest
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.contract.errors import SourceInvalidError


def test_unknown_scheme_is_invalid(fetcher: Fetcher) -> None:
    with pytest.raises(SourceInvalidError, match="starts with 'file'"):
        fetcher("file:///etc/passwd")
