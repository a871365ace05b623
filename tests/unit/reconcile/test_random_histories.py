"""Random histories of edits, deletions and faults: ready objects serve the content they ask for.

MODELYARD_HISTORIES raises the number of histories; a failure prints the seed and the steps of its history.
"""

from __future__ import annotations

import os
from typing import Final

import pytest
from tests.unit.histories import History

_HISTORIES: Final = int(os.environ.get("MODELYARD_HISTORIES", "500"))
_CHUNK: Final = 50


# Coverage: other tests run the same lines, and the tracer more than doubles the time of these.
@pytest.mark.no_cover
@pytest.mark.parametrize("first", range(0, _HISTORIES, _CHUNK))
async def test_ready_objects_serve_the_content_that_they_ask_for(first: int) -> None:
    for seed in range(first, min(first + _CHUNK, _HISTORIES)):
        await History(seed).run()
