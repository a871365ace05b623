"""The API server judges the table as it says, and so as the types do."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from tests.api_cases.bad import BAD
from tests.api_cases.case import Bad, Good
from tests.api_cases.examples import examples, named
from tests.api_cases.good import GOOD
from tests.integration.api.conftest import Ask

from modelyard.api.kinds import BY_NAME

SEED = 2017
TRIES = 200


@pytest.mark.parametrize("case", BAD, ids=str)
def test_bad_manifest_is_refused_and_the_field_named(case: Bad, ask: Ask) -> None:
    answer = ask(case.manifest())
    assert answer.status_code == 422, answer.text
    causes = answer.json()["details"]["causes"]
    said = [f"{cause['field']}: {cause['message']}" for cause in causes if cause["field"] == case.field]
    assert any(case.words.lower() in sentence.lower() for sentence in said), causes


@pytest.mark.parametrize("case", GOOD, ids=str)
def test_good_manifest_is_accepted(case: Good, ask: Ask) -> None:
    answer = ask(case.manifest())
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("example", examples(), ids=named)
def test_example_is_accepted(example: dict[str, Any], ask: Ask) -> None:
    answer = ask(example)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"spec.replicas": 1}, "spec.replicas"),
        ({"spec.autoScaler.maxReplica": 1}, "spec.autoScaler.maxReplica"),
        ({"spec.image_id": "diabetes"}, "spec.image_id"),
    ],
)
def test_unknown_field_is_refused(change: dict[str, object], field: str, ask: Ask) -> None:
    answer = ask(Good("Service", change).manifest())
    assert answer.status_code == 400
    assert f'unknown field "{field}"' in answer.json()["message"]


def _joined(pieces: list[str], most: int) -> Callable[[random.Random], str]:
    return lambda dice: "".join(dice.choices(pieces, k=dice.randint(0, most)))


def _quantity(dice: random.Random) -> str:
    signs, numbers = (
        ["", "", "", "+", "-", " "],
        ["0", "7", "12", "1024", "0.25", ".5", "3.", "1.5e3", "1_0", ""],
    )
    units = [
        "",
        "m",
        "u",
        "n",
        "k",
        "M",
        "G",
        "T",
        "P",
        "E",
        "Ki",
        "Mi",
        "Gi",
        "Ti",
        "Ei",
        "mi",
        "e3",
        "E-2",
        "e",
        "B",
        " ",
    ]
    return dice.choice(signs) + dice.choice(numbers) + dice.choice(units)


RANDOM = {
    "Service spec.containerResourceReservation.cpu": _quantity,
    "Service spec.containerResourceReservation.memory": _quantity,
    "Service spec.imageId": _joined(["a", "1", "0", "-", ".", ":", "b2", "x" * 30, "A", "_", "\n"], 5),
    "Service metadata.name": _joined(["a", "1", "-", ".", "b2", "x" * 30, "A"], 4),
    "Model metadata.name": _joined(["a", "1", "-", ".", "b2", "x" * 30, "_"], 4),
    "Model spec.secretRef.name": _joined(["a", "1", "-", ".", "b2", "x" * 120, "A"], 4),
    "Model spec.name": _joined(
        ["a", ".", "..", "/", "\t", "\x7f", "é", "\U0001f600", "\u2028", "x" * 124], 4
    ),
    "Model spec.url": _joined(["http", "s3", "data", "HTTP", ":", "//", "/", "a", "\n", ","], 5),
    "Manifest spec.targetRuntime.properties.pythonVersion": _joined(
        ["3", "3.", "1", "11", ".", "\n", " "], 4
    ),
}


def _values(path: str) -> Iterator[str]:
    dice = random.Random(f"{SEED} {path}")
    yield from {RANDOM[path](dice): None for _ in range(TRIES)}


@pytest.mark.parametrize("path", RANDOM)
def test_types_and_api_server_agree_on_random_values(path: str, ask: Ask) -> None:
    kind, field = path.split()
    judged = {}
    for value in _values(path):
        manifest = Good(kind, {field: value}).manifest()
        try:
            BY_NAME[kind].resource.model_validate(manifest)
            judged[value] = 201
        except ValidationError:
            judged[value] = 422
    assert set(judged.values()) == {201, 422}, "the values are no test"
    assert judged == {value: ask(Good(kind, {field: value}).manifest()).status_code for value in judged}
