"""The arguments of `modelyard images`: ages with a unit."""

from __future__ import annotations

import datetime as dt

import pytest

from modelyard.cli.images_arguments import duration
from modelyard.cli.main import main


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("30m", 1800), ("12h", 43200), ("7d", 604800)]
)
def test_age_is_a_number_with_a_unit(text: str, seconds: int) -> None:
    assert duration(text) == dt.timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["7", "-1d", "1w", "1.5h", ""])
def test_invalid_age_is_rejected_with_examples(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["images", "prune", f"--older-than={text}"])
    assert "is not an age such as 90s, 30m, 12h or 7d" in capsys.readouterr().err
