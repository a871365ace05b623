"""The waits before restarts of workers."""

from modelyard.scoring.front.request_queue import RESTARTS


def test_waits_before_restarts_double_up_to_ten_seconds() -> None:
    assert [RESTARTS.seconds(failures) for failures in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
