"""Names that are derived from objects."""

from __future__ import annotations

import pytest

from modelyard.api import labels


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("model-m-1", ("Model", "m", 1)),
        ("image-a-1-2", ("Image", "a-1", 2)),
        ("service-image-m-1-3", ("Service", "image-m-1", 3)),
        ("manifest-a.b-12", ("Manifest", "a.b", 12)),
        ("web-1", None),
        ("model-m", None),
        ("model-m-1-log", None),
    ],
)
def test_revision_name_is_parsed(text: str, parts: tuple[str, str, int] | None) -> None:
    assert labels.parse_revision_name(text) == parts
    if parts:
        assert labels.revision_name(*parts) == text


def test_job_names_are_unique_and_short() -> None:
    names = {
        labels.job_name(uid, version, attempt) for uid in "ab" for version in (1, 2) for attempt in (1, 2)
    }
    assert len(names) == 8
    assert max(map(len, names)) <= 63 - len("-xxxxx")
