"""Type hints that the runtime does not support."""

import pytest

from modelyard.scoring.worker.hints import UnknownHintError, hint_of


def test_unsupported_class_is_an_unknown_hint() -> None:
    with pytest.raises(UnknownHintError):
        hint_of(type("Own", (), {}))
