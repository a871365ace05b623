"""The circuit breaker: open after failures in a row, with one trial after each pause."""

from __future__ import annotations

import pytest
from tests.unit.clock import SecondsClock

from modelyard.backoff import Backoff
from modelyard.circuit_breaker import CircuitBreaker


@pytest.fixture
def clock() -> SecondsClock:
    return SecondsClock()


@pytest.fixture
def breaker(clock: SecondsClock) -> CircuitBreaker:
    return CircuitBreaker(threshold=3, pause=Backoff(10.0, 40.0), clock=clock)


def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.begin()
        breaker.fail()


def test_breaker_opens_after_failures_in_a_row(breaker: CircuitBreaker) -> None:
    fail(breaker, 2)
    breaker.succeed()
    fail(breaker, 2)
    assert breaker.seconds_until_trial == 0
    fail(breaker)
    assert breaker.seconds_until_trial == 10


def test_open_breaker_permits_one_trial_at_a_time(breaker: CircuitBreaker, clock: SecondsClock) -> None:
    fail(breaker, 3)
    clock.seconds += 10
    assert breaker.seconds_until_trial == 0
    breaker.begin()
    assert breaker.seconds_until_trial > 0
    breaker.abandon()
    assert breaker.seconds_until_trial == 0


def test_pause_doubles_up_to_its_bound(breaker: CircuitBreaker, clock: SecondsClock) -> None:
    fail(breaker, 3)
    for pause in (10, 20, 40, 40):
        assert breaker.seconds_until_trial == pause
        clock.seconds += pause
        fail(breaker)


def test_success_of_the_trial_closes_the_breaker(breaker: CircuitBreaker, clock: SecondsClock) -> None:
    fail(breaker, 3)
    clock.seconds += 10
    breaker.begin()
    breaker.succeed()
    assert breaker.seconds_until_trial == 0
    fail(breaker, 2)
    assert breaker.seconds_until_trial == 0
