"""The folders and times of a window."""

from __future__ import annotations

import datetime as dt

import pytest

from modelyard.collected.window import Window, moment, segment

NOW = dt.datetime(2026, 11, 30, 12, 0, tzinfo=dt.UTC)


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def test_ages_and_times_of_iso_8601_are_moments_in_utc() -> None:
    assert moment("90m", NOW) == _at("2026-11-30T10:30")
    assert moment("7d", NOW) == _at("2026-11-23T12:00")
    assert moment("2026-11-30T08:00", NOW) == _at("2026-11-30T08:00")
    assert moment("2026-11-30T08:00+02:00", NOW) == _at("2026-11-30T06:00")


@pytest.mark.parametrize("text", ["", "yesterday", "-3h", "9999999d", "12", "999999d"])
def test_other_texts_are_no_moments(text: str) -> None:
    with pytest.raises(ValueError, match=r"age|year"):
        moment(text, NOW)


def test_window_holds_its_start_and_not_its_end() -> None:
    window = Window("team", start=_at("2026-11-30T08:00"), end=_at("2026-11-30T09:00"))

    assert window.holds(_at("2026-11-30T08:00"))
    assert not window.holds(_at("2026-11-30T09:00"))
    assert window.holds(None)


def test_window_holds_the_hours_that_overlap_it() -> None:
    window = Window("team", start=_at("2026-11-30T08:30"), end=_at("2026-11-30T10:00"))
    folder = "modeldata/team/m/1/scoring/2026/11/30"

    held = [hour for hour in range(24) if window.holds_hour(f"{folder}/{hour:02}/file.parquet")]

    assert held == [8, 9]
    assert not window.holds_hour("modeldata/team/m/1/scoring/notes/file.parquet")


def test_window_lists_each_day_once() -> None:
    window = Window("team", start=_at("2026-11-29T23:59"), end=_at("2026-12-01T00:01"))

    assert list(window.day_folders()) == ["2026/11/29", "2026/11/30", "2026/12/01"]
    assert list(Window("team").day_folders()) == [""]


@pytest.mark.parametrize("text", ["", "..", "a/b", "-a", "a" * 300])
def test_names_are_one_folder_of_a_path(text: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        segment(text)
