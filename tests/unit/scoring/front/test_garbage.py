"""The garbage collector stops a server rarely."""

from __future__ import annotations

import gc

import pytest

from modelyard.scoring.front.garbage import spare_garbage_collection


def test_imported_modules_are_frozen_and_old_objects_read_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen: list[bool] = []
    before = gc.get_threshold()
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(True))
    try:
        spare_garbage_collection()
        young, middle, old = gc.get_threshold()
    finally:
        gc.set_threshold(*before)
    assert frozen
    assert (young, middle) == (700, 10)
    assert old > 10
