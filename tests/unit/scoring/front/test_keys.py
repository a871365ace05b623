"""The comparison of keys."""

import hmac
from pathlib import Path

import pytest

from modelyard.scoring.front.keys import ScoringKeys


def test_every_key_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time reveals neither the key that matches nor the length of a match or the scheme."""
    (tmp_path / "primaryKey").write_text("first")
    (tmp_path / "secondaryKey").write_text("second")
    keys = ScoringKeys(tmp_path)
    compared: list[tuple[bytes, bytes]] = []

    def compare_digest(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr(hmac, "compare_digest", compare_digest)
    for sent in (b"Bearer first", b"Bearer second", b"Bearer other", b"Basic first", None):
        compared.clear()
        accepted = keys.accepts(sent)

        token = (sent or b"").partition(b" ")[2]
        assert compared == [(token, b"first"), (token, b"second")]
        assert accepted is (sent in (b"Bearer first", b"Bearer second"))
