"""Conditions of a status."""

from __future__ import annotations

from modelyard.api.conditions import build_conditions


def test_transition_time_changes_only_with_the_status() -> None:
    first = build_conditions({"Ready": (False, "A", "a"), "Stalled": (False, "A", "a")}, [], 1, "then")
    second = build_conditions({"Ready": (True, "B", "b"), "Stalled": (False, "B", "b")}, first, 2, "now")
    assert [(c["type"], c["lastTransitionTime"], c["reason"]) for c in second] == [
        ("Ready", "now", "B"),
        ("Stalled", "then", "B"),
    ]


def test_condition_has_the_observed_generation_and_the_message() -> None:
    (condition,) = build_conditions({"Ready": (True, "Serving", "2 replicas serve")}, [], 7, "now")
    assert condition == {
        "type": "Ready",
        "status": "True",
        "observedGeneration": 7,
        "lastTransitionTime": "now",
        "reason": "Serving",
        "message": "2 replicas serve",
    }
