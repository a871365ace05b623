"""The figures of a replay, and the reports of them."""

from __future__ import annotations

import json
from html.parser import HTMLParser

from modelyard.replay.comparison import Difference
from modelyard.replay.distribution import Distribution
from modelyard.replay.html_report import html_report
from modelyard.replay.report import make_report, share, text_report
from modelyard.replay.tally import Tally


def _number(column: str, size: float) -> Difference:
    return Difference(column, "1", "2", size)


def _tally() -> Tally:
    tally = Tally(rows=7)
    tally.add_response("r1", (200, 200), [])
    tally.add_response("r2", (200, 200), [_number("[*]", 1.0), _number("[*]", 3.0)])
    tally.add_response("r3", (200, 200), [_number("[*]", 2.0), Difference("a.b", "'<x>'", "'y'", None)])
    tally.add_response("r4", (200, 500), [])
    tally.unanswered["no response in time"] += 1
    tally.skipped["cut inputs"] += 2
    for seconds in (0.001, 0.002, 0.1):
        tally.before.add(seconds)
        tally.now.add(2 * seconds)
    return tally


def test_percentiles_are_exact_to_one_percent() -> None:
    distribution = Distribution()
    for value in range(1, 1001):
        distribution.add(value / 1000)

    for part in (0.5, 0.95, 0.99):
        found = distribution.percentile(part)
        assert found
        assert abs(found - part) <= 0.011 * part
    assert Distribution().percentile(0.5) is None


def test_report_counts_rows_values_and_distances_of_columns() -> None:
    report = make_report(_tally(), {"store": "s"}, 1.5, complete=True)

    assert (report["compared"], report["equal"], report["different"]) == (4, 1, 3)
    assert report["agreement"] == 0.25
    assert report["statusChanges"] == [{"before": 200, "now": 500, "rows": 1}]
    assert report["columns"][0] == {
        "column": "[*]",
        "rows": 2,
        "share": 0.5,
        "values": 3,
        "meanDifference": 2.0,
        "maximumDifference": 3.0,
    }
    assert report["columns"][1]["meanDifference"] is None
    assert report["latencySeconds"]["now"]["p50"] > report["latencySeconds"]["before"]["p50"]
    json.dumps(report)


def test_report_of_text_has_each_figure_and_tells_of_an_early_end() -> None:
    report = make_report(_tally(), {}, 1.5, complete=False)

    words = [line.split() for line in text_report(report).splitlines()]

    assert words[0][:4] == ["The", "replay", "ended", "early."]
    assert ["equal", "1", "25", "%"] in words
    assert ["skipped", "2", "cut", "inputs"] in words
    assert ["[*]", "2", "50", "%", "2", "3"] in words
    assert ["200", "500", "1"] in words
    assert words[-1][0] == "now"


def test_share_is_100_percent_only_for_all() -> None:
    assert share(99_999, 100_000) == "99.99 %"
    assert share(1, 100_000) == "0.01 %"
    assert (share(3, 3), share(0, 3), share(0, 0)) == ("100 %", "0 %", "-")


def test_columns_and_examples_are_bounded() -> None:
    tally = Tally()
    for number in range(3000):
        tally.add_response("r", (200, 200), [_number(f"c{number}", 1.0)])

    assert len(tally.columns) == 1001
    assert tally.columns["(other columns)"].rows == 2000
    assert len(tally.examples) == 20


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_stands_alone_and_escapes_what_tenants_wrote() -> None:
    tally = _tally()
    tally.add_response("<script>", (200, 200), [Difference("<img src=x>", "'</style>'", "2", None)])

    page = _Page(html_report(make_report(tally, {"target": "<b>"}, 1.5, complete=True), tally))

    assert page.links == []
    assert not {"script", "img", "b", "link", "iframe"} & set(page.tags)
    assert page.tags.count("style") == 1
    assert page.tags.count("polyline") == 2, "a line for the collected latencies, and one for those of now"
    assert "<img src=x>" in page.text
    assert page.text.count("'</style>'") == 1
    assert "prefers-color-scheme" in page.text


def test_page_without_results_has_no_chart() -> None:
    tally = Tally()

    page = _Page(html_report(make_report(tally, {}, 0.0, complete=True), tally))

    assert "svg" not in page.tags
    assert "No column differs." in page.text
